"""Encodings, judged by Python's own decoding of the whole file at once."""

from __future__ import annotations

import codecs
import csv
import io
import re
from encodings.aliases import aliases
from pathlib import Path

import pytest
from pydantic import ValidationError

from forebay.errors import CorruptFileError
from forebay.formats import _encoding
from forebay.formats._csv.settings import CsvSettings
from forebay.formats._encoding import transcode
from forebay.formats._json.settings import JsonLinesSettings
from forebay.formats.csv import Csv
from forebay.formats.json_lines import JsonLines
from forebay.model import Column
from forebay.testing.formats import rejects, rows, staged

AB = (Column("a", "int64"), Column("b", "string"))
TEXT_CODECS = sorted(name for name in {*aliases.values()} - {"mbcs", "oem"} if codecs.lookup(name)._is_text_encoding)
WRITES_WITH_A_MARK = {"utf_16", "utf_32", "utf_8_sig"}


def sample(codec: str) -> str:
    """A CSV with what the codec can write: up to a thousand of its characters beside ASCII."""
    extra = []
    for point in [
        *range(0xA0, 0x2100),
        *range(0x3040, 0x3100),
        *range(0x4E00, 0x5000),
        *range(0xAC00, 0xAD00),
        0x1F600,
    ]:
        try:
            chr(point).encode(codec)
        except UnicodeError:
            continue
        extra.append(chr(point))
    words = "".join(extra[:1000])
    return "a,b\n" + "".join(f'{n},"x{words[n * 10 : n * 10 + 10]},y"\n' for n in range(100))


@pytest.mark.parametrize("codec", TEXT_CODECS)
def test_every_text_codec_is_read_as_python_reads_it_wherever_a_block_ends(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sample(codec).encode(codec)
    (tmp_path / "in").write_bytes(data)
    name = CsvSettings(encoding=codec).encoding
    assert codecs.lookup(name).name == codecs.lookup(codec).name or name == "utf-8"
    for block in (1, 7, 1 << 20):
        monkeypatch.setattr(_encoding, "BLOCK", block)
        transcode(tmp_path / "in", tmp_path / "out", name, "u")
        assert (tmp_path / "out").read_text("utf-8") == data.decode(codec)


def test_the_judge_would_see_a_cut_character(tmp_path: Path) -> None:
    """What a decoder without a memory would make of a block's end."""
    data = "a,é\n".encode("utf-16-le")
    assert data[:5].decode("utf-16-le", "replace") + data[5:].decode("utf-16-le", "replace") != data.decode("utf-16-le")


@pytest.mark.parametrize(
    "encoding",
    [
        "windows-1252",
        "cp1252",
        "latin-1",
        "utf-16le",
        "utf-16be",
        "utf-32",
        "shift_jis",
        "gb18030",
        "iso2022_jp",
        "cp037",
    ],
)
def test_a_csv_of_any_encoding_is_what_pythons_csv_reads(encoding: str, tmp_path: Path) -> None:
    word = {
        "shift_jis": "表ソ能",
        "gb18030": "€𠮷丂",
        "iso2022_jp": "東京",
        "utf-16le": "ਊ\u2028😀",
        "utf-16be": "ਊ\u2028😀",
        "windows-1252": "€“ž”",
    }.get(encoding, "naïve")
    data = f'a,b\n1,{word}\n2,"{word}, {word}"\n3,x\n'.encode(encoding)
    stage = staged(Csv(CsvSettings(encoding=encoding)), data, AB, tmp_path)
    judged = list(csv.reader(io.StringIO(data.decode(encoding))))[1:]
    assert [[str(row["a"]), row["b"]] for row in rows(stage)] == judged
    assert rejects(stage) == []


@pytest.mark.parametrize(
    ("encoding", "marked"),
    [("utf-16le", True), ("utf-16le", False), ("utf-16be", True), ("utf-16be", False), ("utf-16", True)],
)
def test_utf_16_is_read_with_and_without_a_mark(encoding: str, marked: bool, tmp_path: Path) -> None:
    plain = "a,b\n1,é\n".encode("utf-16-be" if encoding == "utf-16be" else "utf-16-le")
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16be" else codecs.BOM_UTF16_LE
    stage = staged(Csv(CsvSettings(encoding=encoding)), mark * marked + plain, AB, tmp_path)
    assert [(row["a"], row["b"]) for row in rows(stage)] == [(1, "é")]


@pytest.mark.parametrize(("encoding", "order"), [("utf-16", "le"), ("utf-16", "be"), ("utf-32", "le")])
def test_without_a_mark_the_order_of_bytes_is_set(encoding: str, order: str, tmp_path: Path) -> None:
    """Python's codec guesses the machine's own order when it decodes a whole file, and none when it decodes a
    stream."""
    data = "a,b\n1,é\n".encode(f"{encoding}-{order}")
    with pytest.raises(
        CorruptFileError, match=rf"no byte order mark \(set format.encoding: {encoding}le, or {encoding}be\)"
    ):
        staged(Csv(CsvSettings(encoding=encoding)), data, AB, tmp_path / "a")
    assert [
        row["b"] for row in rows(staged(Csv(CsvSettings(encoding=encoding + order)), data, AB, tmp_path / "b"))
    ] == ["é"]


def test_json_lines_take_the_same_encodings(tmp_path: Path) -> None:
    stage = staged(
        JsonLines(JsonLinesSettings(encoding="Windows-1252")), '{"a": 1, "b": "€"}\n'.encode("cp1252"), AB, tmp_path
    )
    assert [(row["a"], row["b"]) for row in rows(stage)] == [(1, "€")]


@pytest.mark.parametrize(
    ("encoding", "good", "bad"),
    [
        ("windows-1252", "2,€".encode("cp1252"), b"3,x\x81y"),
        ("ascii", b"2,x", b"3,\xe9"),
        ("shift_jis", "2,表".encode("shift_jis"), b"3,\x81"),
        ("shift_jis", "2,表".encode("shift_jis"), b"3,\x81,"),
        ("gb18030", "2,丂".encode("gb18030"), b"3,\xff\xff"),
        ("euc_jp", "2,東".encode("euc_jp"), b"3,\x8f"),
        ("big5", "2,中".encode("big5"), b"3,\xa4"),
    ],
)
def test_a_byte_that_the_encoding_does_not_have_costs_its_row(
    encoding: str, good: bytes, bad: bytes, tmp_path: Path
) -> None:
    """The line end behind it included, which a bad lead byte must not swallow."""
    stage = staged(
        Csv(CsvSettings(encoding=encoding)),
        b"a,b\n" + b"\n".join([b"1,x", good, bad, good.replace(b"2", b"4", 1), b""]),
        AB,
        tmp_path,
    )
    assert [(row["__row"], row["b"]) for row in rows(stage)] == [
        (1, "x"),
        (2, good.decode(encoding)[2:]),
        (4, good.decode(encoding)[2:]),
    ]
    assert [(reject["__row"], reject["step"]) for reject in rejects(stage)] == [(3, "decode")]
    assert any(
        f"not {CsvSettings(encoding=encoding).encoding}; their rows are quarantined" in note for note in stage.notes
    )


def test_a_lone_surrogate_of_utf_16_and_half_a_character_at_the_end_cost_their_rows(tmp_path: Path) -> None:
    text = "a,b\n1,x\n2,\ud83dy\n3,z\n4,w".encode("utf-16-le", "surrogatepass")
    stage = staged(Csv(CsvSettings(encoding="utf-16le")), text + b"x", AB, tmp_path)
    assert [row["__row"] for row in rows(stage)] == [1, 3]
    assert [reject["__row"] for reject in rejects(stage)] == [2, 4]


@pytest.mark.parametrize(
    ("encoding", "data", "byte"),
    [
        ("iso2022_jp", b"a,b\n1,\x1b$B\xff\xff\x1b(B\n", 10),
        ("utf-7", b"a,b\n1,+\xff-\n", 7),
        ("hz", b"a,b\n1,~{\xff~}\n", 9),
    ],
)
def test_where_a_bad_byte_changes_those_behind_it_the_file_is_refused_with_its_place(
    encoding: str, data: bytes, byte: int, tmp_path: Path
) -> None:
    with pytest.raises(
        CorruptFileError, match=r"it is not \S+ at byte (\d+): .*set format.encoding to what it is written in"
    ) as raised:
        staged(Csv(CsvSettings(encoding=encoding)), data, AB, tmp_path)
    found = int(str(raised.value).split("at byte ")[1].split(":")[0])
    with pytest.raises(UnicodeDecodeError):
        data[: byte + 3].decode(encoding)
    assert abs(found - byte) <= 2 and data[: found - 1].decode(encoding, "ignore")


@pytest.mark.parametrize(
    ("encoding", "meant"),
    [
        ("latin-1", "windows-1252"),
        ("iso-8859-1", "windows-1252"),
        ("iso-8859-2", "windows-1250"),
        ("iso8859_5", "windows-1251"),
    ],
)
def test_control_characters_of_an_iso_code_page_are_noted_with_the_way_out(
    encoding: str, meant: str, tmp_path: Path
) -> None:
    data = b"a,b\n1,\x80 5\n2,\x93x\x94\n"
    stage = staged(Csv(CsvSettings(encoding=encoding)), data, AB, tmp_path / "iso")
    assert [row["b"] for row in rows(stage)] == ["\x80 5", "\x93x\x94"], (
        "values stay what they are in the encoding that is set"
    )
    [note] = [note for note in stage.notes if "control characters" in note]
    assert note.startswith("3 bytes from 0x80 to 0x9F") and note.endswith(f"(set format.encoding: {meant})")
    followed = staged(Csv(CsvSettings(encoding=meant)), data, AB, tmp_path / "windows")
    assert [row["b"] for row in rows(followed)] == [text.decode(meant) for text in (b"\x80 5", b"\x93x\x94")]
    assert not any("control characters" in note for note in followed.notes)
    clean = staged(Csv(CsvSettings(encoding=encoding)), b"a,b\n1,\xa3\xff\x7f\n", AB, tmp_path / "clean")
    assert not any("control characters" in note for note in clean.notes)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("base64", "`base64` is no text encoding"),
        ("rot13", "`rot13` is no text encoding"),
        ("zip", "`zip` is no text encoding"),
        ("idna", "`idna` is no text encoding"),
        ("undefined", "`undefined` is no text encoding"),
        ("window-1252", "did you mean `windows-1252`?"),
        ("latun1", "did you mean `latin1`?"),
        ("uft-8", "did you mean `utf-8`?"),
        ("klingon", "write one such as utf-8, latin-1, windows-1252, utf-16"),
        ("", "`` is no text encoding"),
        ("a\0b", "is no text encoding"),
    ],
)
def test_what_is_no_text_codec_is_refused_with_the_nearest(written: str, words: str) -> None:
    for settings in (CsvSettings, JsonLinesSettings):
        with pytest.raises(ValidationError, match="is no text encoding") as raised:
            settings(encoding=written)
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("latin1", "latin-1"),
        ("ISO-8859-1", "latin-1"),
        ("utf8", "utf-8"),
        ("UTF-16LE", "utf-16le"),
        ("utf16", "utf-16"),
        ("CP1252", "windows-1252"),
        ("utf-8-sig", "utf-8"),
        ("cp437", "cp437"),
    ],
)
def test_a_codec_has_one_name(name: str, usual: str) -> None:
    """The plan of a file does not change with its spelling."""
    assert CsvSettings(encoding=name).encoding == usual
    assert CsvSettings(encoding=usual).encoding == usual


@pytest.mark.parametrize(
    ("encoding", "mark", "name"),
    [
        ("latin-1", codecs.BOM_UTF8, "utf-8"),
        ("windows-1252", codecs.BOM_UTF16_LE, "utf-16"),
        ("utf-8", codecs.BOM_UTF32_LE, "utf-32"),
    ],
)
def test_the_mark_of_another_encoding_is_told_and_its_way_out_works(
    encoding: str, mark: bytes, name: str, tmp_path: Path
) -> None:
    data = mark + "a,b\n1,x\n".encode(name + ("-le" if name != "utf-8" else ""))
    with pytest.raises(
        CorruptFileError, match=rf"begins with a {name} byte order mark \(set format.encoding: {name}\)"
    ):
        staged(Csv(CsvSettings(encoding=encoding)), data, AB, tmp_path / "a")
    assert [row["b"] for row in rows(staged(Csv(CsvSettings(encoding=name)), data, AB, tmp_path / "b"))] == ["x"]


def test_a_file_of_another_encoding_altogether_is_refused_after_a_million_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_encoding, "MOST", 10)
    with pytest.raises(CorruptFileError, match=r"it is not ascii at byte .* 11 bytes are not"):
        staged(Csv(CsvSettings(encoding="ascii")), b"a,b\n" + b"1,\xe9\n" * 11, AB, tmp_path)


@pytest.mark.parametrize(
    ("encoding", "codec", "row"),
    [
        ("windows-1252", "windows-1252", b"1,\x81\xe9\x8d"),
        ("ascii", "ascii", b"1,\xc3\xa9"),
        ("shift_jis", "shift_jis", b"1,\x83\x65\xa0\xff"),
        ("utf-16le", "utf-16le", "1,é".encode("utf-16le") + b"\x00\xd8"),
    ],
)
def test_the_bytes_of_a_row_that_cannot_be_decoded_can_be_had_back(
    encoding: str, codec: str, row: bytes, tmp_path: Path
) -> None:
    data = "a,b\n".encode(codec) + row + "\n2,x\n".encode(codec)
    stage = staged(Csv(CsvSettings(encoding=encoding)), data, AB, tmp_path)
    [aside] = rejects(stage)
    parts = re.split("([\udc00-\udcff]+)", aside["raw"].decode("utf-8", "surrogatepass"))
    assert (
        b"".join(bytes(ord(c) - 0xDC00 for c in part) if n % 2 else part.encode(codec) for n, part in enumerate(parts))
        == row
    )
    assert aside["columns"] == ["b"] and f"bytes are not {CsvSettings(encoding=encoding).encoding}" in aside["reason"]
    assert [row["b"] for row in rows(stage)] == ["x"]
