"""Atomic writes, content hashes, journals, and locks that the system releases when their process dies."""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from personsearch.errors import UserError, dangling_link

logger = logging.getLogger(__name__)

T = TypeVar("T")


@contextmanager
def replacing(path: Path, *, mode: int | None = None, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed and moved over `path`.

    If the process is killed or the disk fills up first, `path` stays as it was. With a `mode` the temporary file has it
    from the start, so others can never read a secret. Without `flush` thousands of small files are written fast, but a
    power cut may leave some of them empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        if mode is not None:
            temporary.unlink(missing_ok=True)
            temporary.touch(mode, exist_ok=False)
        yield temporary
        if flush:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def inner_path(name: str, source: Path | str) -> str:
    """A name that `source`, which somebody else may have written, gives to a file of a folder.

    Raises:
        UserError: it would lie outside the folder, or be the folder itself.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
        raise UserError(f"{source}: {name!r}: a relative path without .. expected")
    return name


def private_folder(folder: Path) -> None:
    """Make a folder that only its owner can open; one that exists stays as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def private_file(path: Path) -> None:
    """Make an empty file that only its owner can read, for others to fill; one that exists stays as it is."""
    if not path.exists():
        path.touch(mode=0o600)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: a reader sees the old file or the new one."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`; on success it takes the place of `target`.

    What a killed process left beside `target` is deleted.

    Raises:
        UserError: `target` is a link to what does not exist.
    """
    if link := dangling_link(target):
        raise UserError(f"{target}: {link}")
    for leftover in target.parent.glob(f".{target.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = target.parent / f".{target.name}.{os.getpid()}.partial"
    folder.mkdir(parents=True)
    try:
        yield folder
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def partial_folder(target: Path) -> Path:
    """The folder beside `target` to gather its files in; an interrupted run leaves it for the next one to continue."""
    folder = target.parent / f".{target.name}.partial"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def user_cache(name: str) -> Path:
    """A folder for what can be made again: below XDG_CACHE_HOME or `~/.cache`.

    If neither can be written (a read-only home, a container's user without one), it is a temporary folder of the user.

    Raises:
        UserError: somebody else owns that folder.
    """
    with suppress(RuntimeError):  # this user has no home
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "personsearch" / name
        if _can_be_written(folder):
            return folder
    temporary = Path(tempfile.gettempdir()) / f"personsearch-{os.getuid()}"
    temporary.mkdir(mode=0o700, exist_ok=True)
    if temporary.lstat().st_uid != os.getuid() or temporary.is_symlink():
        raise UserError(f"{temporary}: belongs to somebody else; let XDG_CACHE_HOME name a folder that can be written")
    _warn_of(temporary)
    return temporary / name


@cache
def _warn_of(temporary: Path) -> None:  # cached: once in a process is enough
    logger.warning("no home that can be written; using %s, which may not last. XDG_CACHE_HOME names another", temporary)


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path) -> str:
    """SHA-256 over the sorted relative names and contents of every file below `folder`, in hex."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()


class Journal(Generic[T]):
    """What a long run has finished, one line of JSON per entry, so that a killed run resumes where it stopped.

    The file belongs to one key, a hash of everything that its entries depend on; opened with another key it starts
    empty. What a killed process wrote of its last line does not count. `append` needs an open journal (`with`).
    """

    def __init__(self, path: Path, key: str, *, encode: Callable[[T], Any], decode: Callable[[Any], T]) -> None:
        self.path = path
        self._encode = encode
        self._decode = decode
        self._head = json.dumps(key).encode() + b"\n"

    @property
    def matches(self) -> bool:
        """Whether the file exists and belongs to this key."""
        return next(self._lines(), None) == self._head

    def entries(self) -> Iterator[T]:
        """The entries written so far, in their order."""
        lines = self._lines()
        if next(lines, None) == self._head:
            yield from (self._decode(json.loads(line)) for line in lines)

    def __enter__(self) -> Self:
        if self.matches:
            os.truncate(self.path, sum(map(len, self._lines())))
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(self._head)
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def append(self, entry: T) -> None:
        """Add an entry. It survives this process from here on, and a power cut from the end of the `with` block on."""
        self._file.write(json.dumps(self._encode(entry)) + "\n")
        self._file.flush()

    def _lines(self) -> Iterator[bytes]:
        """The whole lines, without what a killed process wrote of the last one."""
        if self.path.is_file():
            with self.path.open("rb") as file:
                yield from (line for line in file if line.endswith(b"\n"))


@contextmanager
def locked(path: Path, *, wait: bool = True, shared: bool = False, mode: int = 0o666) -> Iterator[int]:
    """Hold a lock on a file, created with `mode` if there is none, and yield its descriptor, open to read and append.

    Any number hold it at once if all of them share it.

    The system releases the lock when the process dies (also by kill -9). A child that inherits the descriptor holds the
    lock as well, until it ends.

    Raises:
        BlockingIOError: another process or thread holds it, and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield file
    finally:
        os.close(file)


@contextmanager
def alone(lock: Path, *, wait: bool = True, aloud: bool = True) -> Iterator[None]:
    """Hold a lock file that is removed at the end; says so, if `aloud`, when it has to wait.

    Raises:
        BlockingIOError: another process or thread holds it, and `wait` is false.
    """
    with ExitStack() as held:
        while not _is_named(held.enter_context(_locked_aloud(lock, wait=wait, aloud=aloud)), lock):
            held.close()  # its last holder deleted it while we waited: we locked a file without a name
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def _locked_aloud(lock: Path, *, wait: bool, aloud: bool) -> Iterator[int]:
    with ExitStack() as held:
        try:
            file = held.enter_context(locked(lock, wait=False))
        except BlockingIOError:
            if not wait:
                raise
            if aloud:
                logger.warning("%s: another process is at work there; waiting for it", lock)
            file = held.enter_context(locked(lock))
        yield file


def _is_named(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
