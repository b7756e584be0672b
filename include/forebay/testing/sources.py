"""What every source must do. A source's test inherits `SourceContract` and says how to make one and how to touch its
store from behind."""

from __future__ import annotations

import hashlib
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forebay.contracts import Source
from forebay.errors import FileChangedError
from forebay.model import Snapshot, SourceFile

ODD_NAMES = (
    "with space.csv",
    "a+b.csv",
    "100%.csv",
    "50%25.csv",
    "Zürich–東京.csv",
    "it's;a=b,c@d(e)!$&~.csv",
    "q?#.csv",
    "[x].csv",
    "tab\t.csv",
)


class SourceContract:
    """The inherited suite. `root` is the folder, in the store's own terms and with a `/` at its end, that all names lie
    in."""

    root: str

    def make_source(self) -> Source[Any]:
        raise NotImplementedError

    def put(self, name: str, content: bytes) -> None:
        """Write (or overwrite) a file behind the source's back, so that its version changes."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        raise NotImplementedError

    def read(self, name: str) -> bytes | None:
        """A file's bytes, read behind the source's back; None if it is not there."""
        raise NotImplementedError

    def listed(self, pattern: str) -> list[SourceFile]:
        return list(self.make_source().list(self.root + pattern))

    def names(self, pattern: str) -> list[str]:
        prefix = len(self.uri_of_root())
        return [file.uri[prefix:] for file in self.listed(pattern)]

    def uri_of_root(self) -> str:
        """The canonical uri of `root`, learnt from a file in it."""
        self.put("zz-probe", b"")
        (probe,) = self.listed("zz-probe")
        self.remove("zz-probe")
        return probe.uri.removesuffix("zz-probe")

    def a_file(self, name: str = "a.csv", content: bytes = b"id\n1\n") -> SourceFile:
        self.put(name, content)
        (file,) = self.listed(name)
        return file

    def test_a_folder_that_is_not_there_lists_nothing(self) -> None:
        assert self.listed("nowhere/*.csv") == []

    def test_files_come_sorted_by_uri_and_say_their_size(self) -> None:
        for name in ("c.csv", "a.csv", "B.csv", "b/a.csv"):
            self.put(name, name.encode())
        files = self.listed("**")
        assert [file.uri for file in files] == sorted(file.uri for file in files)
        assert [(file.name, file.size) for file in files] == [("B.csv", 5), ("a.csv", 5), ("a.csv", 7), ("c.csv", 5)]
        assert files == self.listed("**")

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("*.csv", ["a1.csv", "a2.csv", "b1.csv"]),
            ("a?.csv", ["a1.csv", "a2.csv"]),
            ("[!a]1.csv", ["b1.csv"]),
            ("?[2-9].csv", ["a2.csv"]),
            ("*/*.csv", ["x/a1.csv"]),
            ("**/*.csv", ["a1.csv", "a2.csv", "b1.csv", "x/a1.csv", "x/y/a1.csv"]),
            ("x/**", ["x/a1.csv", "x/y/a1.csv"]),
            ("x/**/y/*", ["x/y/a1.csv"]),
            ("a1.csv", ["a1.csv"]),
            ("_SUCCESS", ["_SUCCESS"]),
            ("_*", ["_SUCCESS"]),
            (".*", [".hidden.csv"]),
            ("**/_part/*", ["x/_part/a1.csv"]),
            ("A1.csv", []),
        ],
    )
    def test_patterns(self, pattern: str, expected: list[str]) -> None:
        every = [
            "a1.csv",
            "a2.csv",
            "b1.csv",
            "x/a1.csv",
            "x/y/a1.csv",
            "x/_part/a1.csv",
            "_SUCCESS",
            ".hidden.csv",
            "a1.txt",
        ]
        for name in every:
            self.put(name, b"x")
        assert self.names(pattern) == expected
        source, base = self.make_source(), self.uri_of_root()
        assert [name for name in sorted(every) if source.matches(base + name, self.root + pattern)] == sorted(expected)

    def test_more_than_a_thousand_files_are_listed(self) -> None:
        for number in range(1_005):
            self.put(f"many/{number:04d}.csv", b"")
        assert self.names("many/*.csv") == [f"many/{number:04d}.csv" for number in range(1_005)]

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_a_file_of_any_name_is_listed_read_and_moved(self, name: str, tmp_path: Path) -> None:
        self.put(f"odd/{name}", name.encode())
        (file,) = self.listed("odd/*")
        assert re.fullmatch(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/]+", file.uri)
        snapshot = self.make_source().fetch(file, tmp_path / "copy")
        assert snapshot.path.read_bytes() == name.encode()
        self.make_source().move(file, f"{self.root}done/")
        assert self.read(f"done/{name}") == name.encode()
        assert self.read(f"odd/{name}") is None

    @pytest.mark.parametrize("content", [b"", b"id\n1\n", bytes(range(256)) * 20_000], ids=["empty", "small", "5 MB"])
    def test_fetch_copies_the_bytes_and_names_their_sha256(self, content: bytes, tmp_path: Path) -> None:
        file = self.a_file(content=content)
        into = tmp_path / "deep" / "snapshot"
        snapshot = self.make_source().fetch(file, into)
        version = snapshot.file.version  # a store may name it only with the bytes
        assert snapshot == Snapshot(
            replace(file, version=version), into, hashlib.sha256(content).hexdigest(), len(content)
        )
        assert into.read_bytes() == content
        assert [path.name for path in into.parent.iterdir()] == ["snapshot"]
        assert self.make_source().fingerprint(file) == snapshot.fingerprint

    def test_a_file_that_vanished_is_its_own_error_and_leaves_nothing(self, tmp_path: Path) -> None:
        file = self.a_file()
        self.remove("a.csv")
        with pytest.raises(FileChangedError, match=r"^reading `.*a\.csv`: .* \(run again"):
            self.make_source().fetch(file, tmp_path / "copy")
        with pytest.raises(FileChangedError):
            self.make_source().fingerprint(file)
        assert list(tmp_path.glob("**/.*.part")) == []
        assert not (tmp_path / "copy").exists()

    @pytest.mark.parametrize("content", [b"id\n2\n", b"id\n1\n2\n"], ids=["same size", "longer"])
    def test_a_file_that_changed_is_its_own_error_and_leaves_nothing(self, content: bytes, tmp_path: Path) -> None:
        file = self.a_file()
        self.put("a.csv", content)
        with pytest.raises(FileChangedError, match=r"a\.csv"):
            self.make_source().fetch(file, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
        assert list(tmp_path.glob("**/.*.part")) == []

    def test_a_changed_file_is_not_the_same_version(self) -> None:
        source, before = self.make_source(), self.a_file()
        after = self.a_file(content=b"id\n2\n")
        assert not source.same_version(before, after)

    def test_move_is_idempotent(self) -> None:
        file = self.a_file()
        there = self.make_source().move(file, f"{self.root}done/2013-01-01/")
        assert there == self.uri_of_root() + "done/2013-01-01/a.csv"
        assert self.make_source().move(file, f"{self.root}done/2013-01-01/") == there
        assert self.read("a.csv") is None
        assert self.names("**") == ["done/2013-01-01/a.csv"]

    def test_move_never_overwrites_other_bytes(self) -> None:
        self.put("done/a.csv", b"older")
        there = self.make_source().move(self.a_file(), f"{self.root}done/")
        assert there.endswith("done/a.csv.1")
        assert (self.read("done/a.csv"), self.read("done/a.csv.1")) == (b"older", b"id\n1\n")

    def test_a_repeated_delivery_of_the_same_bytes_is_kept_once(self) -> None:
        source = self.make_source()
        places = {source.move(self.a_file(), f"{self.root}done/") for _ in range(2)}
        assert len(places) == 1
        assert self.names("**") == ["done/a.csv"]

    def test_moving_a_file_to_where_it_lies_keeps_it(self) -> None:
        file = self.a_file()
        assert self.make_source().move(file, self.root) == file.uri
        assert self.read("a.csv") == b"id\n1\n"

    def test_a_later_delivery_is_neither_moved_nor_deleted(self) -> None:
        file = self.a_file()
        self.put("a.csv", b"later")
        with pytest.raises(FileChangedError):
            self.make_source().move(file, f"{self.root}done/")
        with pytest.raises(FileChangedError):
            self.make_source().delete(file)
        assert self.names("**") == ["a.csv"]
        assert self.read("a.csv") == b"later"

    def test_a_delivery_after_the_move_stays(self) -> None:
        file = self.a_file()
        there = self.make_source().move(file, f"{self.root}done/")
        self.put("a.csv", b"later")
        assert self.make_source().move(file, f"{self.root}done/") == there
        assert self.read("a.csv") == b"later"

    def test_moving_a_file_that_is_nowhere_is_an_error(self) -> None:
        file = self.a_file()
        self.remove("a.csv")
        with pytest.raises(FileChangedError, match="neither place"):
            self.make_source().move(file, f"{self.root}done/")

    def test_delete_is_idempotent(self) -> None:
        file = self.a_file()
        self.make_source().delete(file)
        self.make_source().delete(file)
        assert self.names("**") == []

    def test_rebuilt_and_pickled_sources_give_the_same(self) -> None:
        file, source = self.a_file(), self.make_source()
        assert list(source.list(self.root + "*")) == [file]
        again = pickle.loads(pickle.dumps(source))
        assert list(again.list(self.root + "*")) == [file] == self.listed("*")
        assert again.fingerprint(file) == source.fingerprint(file)

    def test_a_listing_survives_json(self) -> None:
        file = self.a_file()
        assert SourceFile.from_json(file.to_json()) == file
