"""Files of this machine, while others write, replace and move them."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forebay.config.connections import EnvironmentConnections
from forebay.errors import ConfigError, FileChangedError, NotAuthorizedError, RetryableError
from forebay.model import SourceFile
from forebay.sources import _copying, _posix
from forebay.sources.local import Local, LocalConfig
from forebay.testing.sources import SourceContract


def make(project: Path) -> Local:
    return Local(LocalConfig(), EnvironmentConnections({}), project)


def one(project: Path, name: str = "a.csv", content: bytes = b"id\n1\n") -> SourceFile:
    (project / name).write_bytes(content)
    (found,) = make(project).list(name)
    return found


class TestLocal(SourceContract):
    root = "drops/"

    @pytest.fixture(autouse=True)
    def _project(self, tmp_path: Path) -> None:
        self.project = tmp_path / "project"
        (self.project / "drops").mkdir(parents=True)

    def make_source(self) -> Local:
        return make(self.project)

    def put(self, name: str, content: bytes) -> None:
        path = self.project / "drops" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.ticks = getattr(self, "ticks", 0) + 1  # the clock of file times is coarse: two writes may share a tick
        os.utime(path, ns=(0, 1_700_000_000_000_000_000 + self.ticks))

    def remove(self, name: str) -> None:
        (self.project / "drops" / name).unlink()

    def read(self, name: str) -> bytes | None:
        path = self.project / "drops" / name
        return path.read_bytes() if path.exists() else None


def test_an_absolute_pattern_and_a_pattern_upwards_are_the_operators_word(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "a.csv").write_bytes(b"x")
    expected = [f"file://{tmp_path}/a.csv"]
    assert [f.uri for f in make(tmp_path / "project").list(f"{tmp_path}/*.csv")] == expected
    assert [f.uri for f in make(tmp_path / "project").list(f"file://{tmp_path}/*.csv")] == expected
    assert [f.uri for f in make(tmp_path / "project").list("../*.csv")] == expected
    assert make(tmp_path / "project").matches(expected[0], "../*.csv")


def test_links_fifos_and_folders_are_passed_over(tmp_path: Path) -> None:
    outside, drops = tmp_path / "outside", tmp_path / "drops"
    outside.mkdir()
    (outside / "secret.csv").write_bytes(b"secret")
    drops.mkdir()
    (drops / "real.csv").write_bytes(b"x")
    (drops / "link.csv").symlink_to(outside / "secret.csv")
    (drops / "inner.csv").symlink_to(drops / "real.csv")
    (drops / "folder").symlink_to(outside, target_is_directory=True)
    (drops / "dir.csv").mkdir()
    os.mkfifo(drops / "fifo.csv")
    assert [file.name for file in make(tmp_path).list("drops/**/*.csv")] == ["real.csv"]
    told = {SourceFile(uri, 0, 0).name: what for uri, what in make(tmp_path).passed_over("drops/*.csv")}
    assert told == {"link.csv": "a link", "inner.csv": "a link", "fifo.csv": "a pipe", "dir.csv": "a folder"}
    of_all = {SourceFile(uri, 0, 0).name: what for uri, what in make(tmp_path).passed_over("drops/*")}
    assert of_all == {"link.csv": "a link", "inner.csv": "a link", "fifo.csv": "a pipe", "folder": "a link"}
    assert [file.name for file in make(tmp_path).list("drops/link.csv")] == []


def test_links_on_the_way_to_the_fixed_folder_are_followed_and_uris_name_the_real_place(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.csv").write_bytes(b"x")
    (tmp_path / "drops").symlink_to(tmp_path / "disk", target_is_directory=True)
    (file,) = make(tmp_path).list("drops/*.csv")
    assert file.uri == f"file://{tmp_path}/disk/a.csv"


def test_a_folder_swapped_for_a_link_between_listing_and_reading_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "drops" / "d").mkdir(parents=True)
    file = one(tmp_path, "drops/d/a.csv")
    (tmp_path / "drops" / "d").rename(tmp_path / "elsewhere")
    (tmp_path / "drops" / "d").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(FileChangedError):
        make(tmp_path).fingerprint(file)


def test_a_file_swapped_for_a_fifo_does_not_hang(tmp_path: Path) -> None:
    file = one(tmp_path)
    (tmp_path / "a.csv").unlink()
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(FileChangedError):
        make(tmp_path).fingerprint(file)


def test_a_nul_in_a_pattern_is_wrong_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NUL"):
        list(make(tmp_path).list("a\0b/*.csv"))


def test_names_that_are_not_utf_8_survive(tmp_path: Path) -> None:
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.csv")  # noqa: PTH118 (bytes)
    with open(name, "wb") as stream:  # noqa: PTH123 (bytes)
        stream.write(b"latin")
    (file,) = make(tmp_path).list("*.csv")
    assert file.uri == f"file://{tmp_path}/caf%E9.csv"
    assert make(tmp_path).fetch(file, tmp_path / "copy").path.read_bytes() == b"latin"


def test_a_file_replaced_by_rename_with_same_size_and_time_is_another_version(tmp_path: Path) -> None:
    file = one(tmp_path)
    stat = (tmp_path / "a.csv").stat()
    (tmp_path / "b").write_bytes(b"id\n2\n")
    os.utime(tmp_path / "b", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "b").rename(tmp_path / "a.csv")
    with pytest.raises(FileChangedError, match="not what was listed"):
        make(tmp_path).fetch(file, tmp_path / "copy")


class Racer:
    """Changes a file at the moment when its first block was read."""

    def __init__(self, change: Callable[[], None]) -> None:
        self.change, self.done = change, threading.Event()

    def write(self, block: memoryview) -> None:
        if not self.done.is_set():
            self.done.set()
            self.change()


@pytest.mark.parametrize("how", ["truncated", "appended", "rewritten", "replaced", "removed"])
def test_a_file_that_changes_while_it_is_read_is_never_mixed(how: str, tmp_path: Path) -> None:
    from forebay.sources.local import _read

    path = tmp_path / "a.csv"
    file = one(tmp_path, content=b"1" * (3 << 20))

    def change() -> None:
        if how == "replaced":
            (tmp_path / "b").write_bytes(b"2" * (3 << 20))
            (tmp_path / "b").rename(path)
        elif how == "removed":
            path.unlink()
        elif how == "truncated":
            os.truncate(path, 2 << 20)
        else:
            with path.open("r+b") as stream:
                stream.seek(0, os.SEEK_END if how == "appended" else os.SEEK_SET)
                stream.write(b"3")

    with pytest.raises(FileChangedError):
        _read(file, Racer(change).write)


def test_a_folder_that_may_not_be_read_is_an_error_and_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> Iterator[os.DirEntry[str]]:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)  # root may read everything, so the system's answer is played
    with pytest.raises(NotAuthorizedError, match=r"^listing `file://.*`: permission denied, .*\(let the user"):
        list(make(tmp_path).list("*.csv"))


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    file = one(tmp_path)
    real = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, *a, **k: real(full, "wb", buffering=0) if self.suffix == ".part" else real(self, *a, **k),
    )
    with pytest.raises(RetryableError, match=r"no space left on device \(free space there"):
        make(tmp_path).fetch(file, tmp_path / "spool" / "copy")
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_writer_leaves_nothing_when_the_reader_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), _copying.whole_file(tmp_path / "copy", "file:///x") as writer:
        writer.write(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_a_move_to_another_disk_copies_compares_and_keeps_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = one(tmp_path, content=b"x" * 3_000_000)
    monkeypatch.setattr(os, "link", no_links)
    there = make(tmp_path).move(file, "done/")
    moved = tmp_path / "done" / "a.csv"
    assert there == f"file://{moved}"
    assert moved.read_bytes() == b"x" * 3_000_000
    assert moved.stat().st_mtime_ns == int((file.version or "").partition("-")[2], 16)
    assert [path.name for path in tmp_path.iterdir()] == ["done"]
    assert make(tmp_path).move(file, "done/") == there


def test_a_move_without_links_does_not_overwrite_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = one(tmp_path)
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "a.csv").write_bytes(b"older")
    monkeypatch.setattr(os, "link", no_links)
    assert make(tmp_path).move(file, "done/").endswith("a.csv.1")
    assert (tmp_path / "done" / "a.csv").read_bytes() == b"older"


def test_two_files_of_one_name_size_and_second_are_both_kept(tmp_path: Path) -> None:
    for folder, content in (("north", b"id\n1\n"), ("south", b"id\n2\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_bytes(content)
        os.utime(tmp_path / folder / "a.csv", (1_700_000_000, 1_700_000_000))
    for file in make(tmp_path).list("*/a.csv"):
        make(tmp_path).move(file, "done/")
    assert sorted(path.read_bytes() for path in (tmp_path / "done").iterdir()) == [b"id\n1\n", b"id\n2\n"]


@pytest.mark.parametrize("crash", ["after the copy has its name", "after the source is quarantined"])
def test_a_move_that_was_killed_is_finished_by_the_next(crash: str, tmp_path: Path) -> None:
    file = one(tmp_path)
    (tmp_path / "done").mkdir()
    os.link(tmp_path / "a.csv", tmp_path / "done" / "a.csv")
    if crash == "after the source is quarantined":
        (tmp_path / "a.csv").rename(tmp_path / f".a.csv.{file.version}.settling")
    assert make(tmp_path).move(file, "done/") == f"file://{tmp_path}/done/a.csv"
    assert [path.name for path in tmp_path.iterdir()] == ["done"]
    assert [path.name for path in (tmp_path / "done").iterdir()] == ["a.csv"]


def test_a_delivery_in_the_very_moment_of_deleting_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = one(tmp_path)
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "a.csv":  # between the look and the rename, a newer file comes
            (tmp_path / "new").write_bytes(b"newer")
            real(tmp_path / "new", self)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(FileChangedError, match="came meanwhile"):
        make(tmp_path).delete(file)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.csv": b"newer"}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOENT, FileChangedError),
        (errno.ELOOP, FileChangedError),
        (errno.EACCES, NotAuthorizedError),
        (errno.EIO, RetryableError),
    ],
)
def test_system_errors_say_what_to_do(code: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^reading `file:///x`: "), _posix.errors("file:///x", "reading"):
        raise OSError(code, os.strerror(code))
