from __future__ import annotations

from pathlib import Path

import pytest

from forebay.config.yaml_lines import MAX_BYTES, YamlFault, dotted, parse, read


def fault_of(text: str) -> YamlFault:
    with pytest.raises(YamlFault) as caught:
        parse(text)
    return caught.value


def test_yaml_1_1_words_stay_text_as_keys_and_values() -> None:
    assert parse("on: off\nyes: no\nY: n").data == {"on": "off", "yes": "no", "Y": "n"}


@pytest.mark.parametrize(
    "text",
    ["0123", "1_000", "0x1f", "0o17", "12:30:00", "2013-01-01", "2013-01-01T00:00:00Z", ".5", ".inf", ".nan", "+.1"],
)
def test_what_yaml_1_1_would_reinterpret_stays_as_written(text: str) -> None:
    assert parse(f"a: {text}").data == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("-7", -7),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ('"7"', "7"),
    ],
)
def test_json_scalars_are_understood(text: str, value: object) -> None:
    found = parse(f"a: {text}").data["a"]
    assert (found, type(found)) == (value, type(value))


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parse("1: a\nnull: b\ntrue: c").data == {"1": "a", "null": "b", "true": "c"}


def test_every_key_and_item_has_its_line() -> None:
    document = parse("a: 1\nb:\n  c: [x,\n    y]\n")
    assert [document.line(path) for path in [("a",), ("b",), ("b", "c"), ("b", "c", 0), ("b", "c", 1)]] == [
        1,
        2,
        3,
        3,
        4,
    ]


def test_the_line_of_what_is_missing_is_that_of_what_is_around_it() -> None:
    assert parse("a: 1\nb:\n  c: 1\n").line(("b", "d", 0)) == 2


def test_at_finds_values_and_none_for_what_is_not_there() -> None:
    document = parse("a: {b: [x]}")
    assert [document.at("a", "b", 0), document.at("a", "c"), document.at("a", "b", 1), document.at("a", "b", 0, 0)] == [
        "x",
        None,
        None,
        None,
    ]


def test_a_key_given_twice_is_a_fault_that_names_both_lines() -> None:
    document = parse("a: 1\nb: {c: 1}\na: 2\n")
    assert document.faults == ((3, "reading `a`: the key is given twice, first in line 1"),)


def test_tags_merge_keys_and_odd_keys_are_faults() -> None:
    document = parse("a: !!python/object:os.system x\n<<: {b: 1}\n? [c]\n: 1\n")
    assert [line for line, _ in document.faults] == [1, 2, 3]
    assert document.data == {"a": None}


@pytest.mark.parametrize("text", ["a: [1\n", "a: 'b\n", "a:\n\tb: 1\n", "a: 1\n---\nb: 1\n", "a: *b\n", "a: \x00\n"])
def test_what_is_not_yaml_is_a_fault(text: str) -> None:
    assert fault_of(text).message.startswith("reading YAML")


def test_a_fault_of_syntax_has_its_line() -> None:
    assert fault_of("a: 1\nb: 2\nc: }\n").line == 3


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("settle: {type: archive, path: done/{{ ds }}/}\n", "write a value with `{{ … }}` in quotes"),
        ("path: {{ ds }}/x\n", "write a value with `{{ … }}` in quotes"),
        ("path: *.csv\n", "write a value that begins with `*` in quotes"),
        ("a:\n\tb: 1\n", "indent with blanks, not with tabs"),
        ("a: b: c\n", "write a value with `: ` in it in quotes"),
    ],
)
def test_slips_of_syntax_have_a_way_out(text: str, way_out: str) -> None:
    assert f"{way_out})" in fault_of(text).message


@pytest.mark.parametrize("text", ["", "# only words\n", "- a\n", "just text\n"])
def test_what_is_no_mapping_is_a_fault(text: str) -> None:
    assert "a pipeline file begins with `pipeline: NAME`" in fault_of(text).message


def test_aliases_are_followed() -> None:
    assert parse("a: &x [1, 2]\nb: *x\n").data == {"a": [1, 2], "b": [1, 2]}


def test_billion_laughs_are_refused() -> None:
    levels = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "its aliases make more than 20_000 values" in fault_of("\n".join(levels)).message


def test_an_alias_within_itself_is_refused() -> None:
    assert "levels" in fault_of("a: &a [*a]").message


@pytest.mark.parametrize("text", ["a: " + "[" * 300_000, "- " * 300_000, "{a: " * 100_000])
def test_deep_nesting_is_refused_before_it_ends_the_process(text: str) -> None:
    assert "more than 40 levels" in fault_of(text).message


def test_a_number_too_long_is_a_fault() -> None:
    assert "is not a number" in parse("a: " + "1" * 10_000).faults[0][1]


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(YamlFault, match="a pipeline file may have 1_000_000"):
        read(path)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: caf\xe9\n")
    with pytest.raises(YamlFault, match="byte 6 is not UTF-8"):
        read(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read(path).data == {"a": 1}


def test_paths_are_written_as_people_write_them() -> None:
    assert dotted(("record", "key", 0)) == "record.key[0]"
