"""Files are replaced whole or not at all; journals survive a kill; locks keep real processes apart."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.files import Journal, alone, locked, partial_folder, replacing, replacing_folder, user_cache

HOLD = """
import sys
from pathlib import Path
from personsearch.files import alone

with alone(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_process(lock: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes the lock, says so, and holds it until a line comes in or it is killed."""
    command = [sys.executable, "-c", HOLD, str(lock)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        yield process
        process.kill()


def fail_after_writing(path: Path) -> None:
    path.write_text("half")
    raise OSError("the disk is full")


@pytest.mark.parametrize("flush", [True, False])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, flush: bool) -> None:
    path = tmp_path / "new" / "file"
    with replacing(path, flush=flush) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with pytest.raises(OSError, match="full"), replacing(path, flush=flush) as temporary:
        fail_after_writing(temporary)
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [("file", "first")]


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    with replacing(path, mode=0o600) as temporary:
        assert temporary.stat().st_mode & 0o777 == 0o600
        temporary.write_text("new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / ".out.12.partial").mkdir()  # a killed process left it
    for name in ("first", "second"):
        with replacing_folder(tmp_path / "out") as folder:
            (folder / name).touch()
    with pytest.raises(OSError, match="full"), replacing_folder(tmp_path / "out") as folder:
        fail_after_writing(folder / "third")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["out", "out/second"]


def test_a_partial_folder_keeps_what_an_interrupted_run_left(tmp_path: Path) -> None:
    (partial_folder(tmp_path / "new" / "out") / "half").touch()
    assert [path.name for path in partial_folder(tmp_path / "new" / "out").iterdir()] == ["half"]


def journal(path: Path, key: str = "key") -> Journal[int]:
    return Journal(path, key, encode=lambda number: {"number": number}, decode=lambda values: int(values["number"]))


def test_a_torn_last_line_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal"
    with journal(path) as opened:
        for number in (1, 2):
            opened.append(number)
    path.write_bytes(path.read_bytes() + '{"number": 3, "name": "é'.encode()[:-1])  # torn inside a letter
    assert list(journal(path).entries()) == [1, 2]
    with journal(path) as opened:
        opened.append(4)
    assert path.read_text() == '"key"\n{"number": 1}\n{"number": 2}\n{"number": 4}\n'


@pytest.mark.parametrize("content", [b"", b'"ke', b'"other"\n{"number": 1}\n'])
def test_a_journal_of_another_key_starts_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(content)
    assert not journal(path).matches
    assert list(journal(path).entries()) == []
    with journal(path) as opened:
        opened.append(2)
    assert list(journal(path).entries()) == [2]


WRITE = """
import sys
from pathlib import Path
from personsearch.files import Journal

journal = Journal(Path(sys.argv[1]), "key", encode=lambda n: {"number": n, "padding": "x" * 5000}, decode=dict)
with journal:
    n = sum(1 for _ in journal.entries())
    while True:
        journal.append(n)
        n += 1
        print(n, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_has_appended(tmp_path: Path) -> None:
    path, appended = tmp_path / "journal", 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.kill()
            counted = [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        numbers = list(journal(path).entries())
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= max(counted, default=appended + 1) > appended
        appended = len(numbers)


def test_a_lock_is_removed_at_the_end_and_only_then(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / ".lock"
    with alone(lock):
        with pytest.raises(BlockingIOError), alone(lock, wait=False):
            pass
        assert lock.is_file()
    assert not lock.exists()


def test_another_process_says_that_it_waits_and_has_its_turn(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with ExitStack() as stack:
        with alone(lock):
            other = stack.enter_context(another_process(lock))
            assert other.stderr is not None
            assert other.stderr.readline().decode() == f"{lock}: another process is at work there; waiting for it\n"
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(BlockingIOError), alone(lock, wait=False):
            pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with another_process(lock) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        other.kill()
        other.wait()
        with alone(lock, wait=False):
            pass
    assert not lock.exists()


def test_a_locked_file_stays_and_its_descriptor_appends(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    for line in (b"first\n", b"second\n"):
        with locked(path, mode=0o600) as file:
            os.write(file, line)
            with pytest.raises(BlockingIOError), locked(path, wait=False):
                pass
    assert path.read_bytes() == b"first\nsecond\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_waiting_for_a_locked_file_is_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lock = tmp_path / ".lock"
    with another_process(lock) as other, caplog.at_level(logging.DEBUG):
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        threading.Timer(0.2, other.stdin.close).start()
        with locked(lock):
            assert other.wait(10) == 0
    assert caplog.records == []


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert user_cache("pixels") == tmp_path / "elsewhere" / "personsearch" / "pixels"
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # counts as unset
    assert user_cache("pixels") == tmp_path / "home" / ".cache" / "personsearch" / "pixels"


@pytest.mark.parametrize("home", ["a file", "/proc/none", None])
def test_without_a_home_that_can_be_written_the_cache_is_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, home: str | None
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if home is None:  # a random user id in a container: no entry in the system's list of users
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    else:
        monkeypatch.setenv("HOME", str(tmp_path / home))
    expected = tmp_path / f"personsearch-{os.getuid()}"
    assert user_cache("pixels") == expected / "pixels"
    assert expected.stat().st_mode & 0o777 == 0o700
    assert f"using {expected}" in caplog.text


def test_a_temporary_cache_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"personsearch-{os.getuid()}").symlink_to(tmp_path / "theirs")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(UserError, match="belongs to somebody else; let XDG_CACHE_HOME name"):
        user_cache("pixels")
