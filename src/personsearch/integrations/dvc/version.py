"""What a path is at a revision of a Git repository, as DVC and Git have it: its hash and its files."""

import contextlib
import hashlib
import json
import logging
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from personsearch.addresses import hide_credentials
from personsearch.errors import UserError

DRIVERS = ("botocore", "aiobotocore", "pygit2", "_pygit2")  # their exceptions share no base with DVC's
OWNERSHIP = "; let its owner run this, or trust it: git config --global --add safe.directory FOLDER"
HASH, DVC_2_HASH = "md5", "md5-dos2unix"


@dataclass(frozen=True, slots=True)
class Place:
    """A path at a revision of a repository, and a DVC remote of it other than its default."""

    repository: str
    revision: str
    path: str
    remote: str | None = None

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}: {self.path}"


@dataclass(frozen=True, slots=True)
class VersionedFile:
    """One file of a version: its path in the repository and below the data set, its hash and what made the hash.

    `hash_name` is `md5-dos2unix` for data of DVC 2, which takes CRLF in text for LF.
    """

    repository_path: str
    relative: str
    hash: str
    hash_name: str = HASH
    in_git: bool = False

    def is_intact(self, folder: Path) -> bool:
        """Whether `folder` holds this file with this content."""
        path = folder / self.relative
        return path.is_file() and _hash_file(path, self.hash_name) == self.hash


@dataclass(frozen=True)
class Version:
    """A path in the file system that DVC shows of one revision, or of the working tree; it is looked at once."""

    file_system: Any
    path: str

    @cached_property
    def recorded_hash(self) -> str | None:
        """The hash that DVC recorded for the path as a whole, if it tracks it so."""
        return _recorded(self.file_system.info(self.path))[1]

    @cached_property
    def files(self) -> list[VersionedFile]:
        """Every file at or below the path, except those in which Git and DVC keep their own records."""
        found, root = {self.path: self.file_system.info(self.path)}, self.path.rpartition("/")[0]
        if found[self.path]["type"] == "directory":
            found, root = self.file_system.find(self.path, detail=True), self.path
        files = [
            self._file(name, name.removeprefix("/").removeprefix(f"{root}/"), info) for name, info in found.items()
        ]
        return [file for file in files if not (file.in_git and _is_bookkeeping(file.relative))]

    def hashes(self) -> dict[str, VersionedFile]:
        """What the path is made of: itself if DVC tracks it as a whole, else its files; nothing if it is absent."""
        try:
            whole = self.recorded_hash
            return {"": VersionedFile(self.path, "", whole)} if whole else {file.relative: file for file in self.files}
        except FileNotFoundError:
            return {}

    def _file(self, name: str, relative: str, info: dict[str, Any]) -> VersionedFile:
        hash_name, recorded = _recorded(info)
        if recorded:
            return VersionedFile(name, relative, recorded, hash_name)
        with self.file_system.open(name, "rb") as file:
            return VersionedFile(name, relative, hashlib.file_digest(file, HASH).hexdigest(), in_git=True)


def open_version(place: Place) -> Version:
    """The path at its revision.

    Raises:
        UserError: the revision is HEAD, and the working tree has another version that is not committed, or files that
            changed since `dvc add`.
    """
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    root, below = _working_tree(_local_path(place.repository))
    path = (PurePosixPath(below) / place.path).as_posix()
    version = _version(root, place.revision, path, place.remote)
    if place.revision == "HEAD" and Path(root).is_dir():
        _refuse_uncommitted(place, version, _version(root, None, path, place.remote))
        _refuse_unadded(place, Path(root).resolve(), path)
    return version


def identity(version: Version, place: Place) -> str:
    """DVC's hash of the path; of a folder with DVC data beside files in Git, the hash that DVC would give the whole."""
    if version.recorded_hash:
        return version.recorded_hash
    files = version.files if version.file_system.isdir(version.path) else []
    if all(file.in_git for file in files):
        raise UserError(f"{place}: not tracked by DVC")
    listing = [{"md5": file.hash, "relpath": file.relative} for file in sorted(files, key=lambda file: file.relative)]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _version(repository: str, revision: str | None, path: str, remote: str | None) -> Version:
    from dvc.api import DVCFileSystem

    # In a repository of several projects DVC may have been set up in a folder below the root: a "subrepo".
    return Version(DVCFileSystem(repository, rev=revision, remote=remote, subrepos=True), path)


def _local_path(repository: str) -> str:
    """A `file://` address as a plain path; DVC would clone it and lose remotes given relative to the repository."""
    parts = urlsplit(repository)
    return unquote(parts.path) if parts.scheme == "file" else repository


def _working_tree(repository: str) -> tuple[str, str]:
    """The root of the Git working tree that holds a folder, and the folder's path below it.

    DVC expects paths from the root. Anything else (an address, a bare repository) is its own root.
    """
    if not Path(repository).is_dir():
        return repository, ""
    command = ["git", "-C", repository, "rev-parse", "--show-toplevel", "--show-prefix"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UserError("git: is not installed; DVC needs it") from error
    root, _, below = found.stdout.rstrip("\n").partition("\n")
    return (root, below) if found.returncode == 0 and root else (repository, "")


def _refuse_uncommitted(place: Place, head: Version, tree: Version) -> None:
    """HEAD is what was last committed. Without this check, whoever forgets to commit a `dvc add` gets the old data."""
    committed, present = head.hashes(), tree.hashes()
    known = {name: file.hash for name, file in present.items() if name in committed or not file.in_git}
    if known and known != {name: file.hash for name, file in committed.items()}:
        raise UserError(
            f"{place}: the working tree has another version, which is not committed; commit it, or name a commit"
            " instead of HEAD"
        )


def _refuse_unadded(place: Place, root: Path, path: str) -> None:
    """Refuse HEAD if files that DVC tracks at or below the path changed since `dvc add`: no version has them."""
    there = (root / path).resolve()
    changed = [name for project in _projects(there, root) for name in _changed_files(project, there)]
    if changed:
        first = min(changed, key=lambda name: (name.is_dir(), name))
        what = "changed" if first.exists() else "was removed"
        raise UserError(
            f"{place}: {first} {what} since `dvc add`; run `dvc add` again and commit, or name a commit instead of HEAD"
        )


def _projects(there: Path, root: Path) -> list[Path]:
    """The DVC projects whose files can be at or below a path: the nearest above it, and those below."""
    if not there.exists():
        return []
    above = next((folder for folder in (there, *there.parents) if (folder / ".dvc").is_dir()), None)
    below = [mark.parent for mark in there.rglob(".dvc") if mark.is_dir() and mark.parent != above]
    return below if above is None or not above.is_relative_to(root) else [above, *below]


def _changed_files(project: Path, there: Path) -> list[Path]:
    """The files at or below `there` that differ from what DVC recorded. Data that is not checked out is no change.

    DVC keeps hashes by time and size of the files, so only what is new or changed is read.
    """
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        changes = repo.data_status(granular=True)["uncommitted"]
        present = [Path(out.fs_path) for out in repo.index.outs if Path(out.fs_path).exists()]
    names = [name for kind in ("added", "modified") for name in changes.get(kind, [])]
    names += [change["new"] for change in changes.get("renamed", [])]
    changed = [project / name for name in names]
    removed = (project / name for name in changes.get("deleted", []))
    changed += [name for name in removed if any(name.is_relative_to(out) for out in present)]
    return [name for name in changed if name.is_relative_to(there)]


def _recorded(info: dict[str, Any]) -> tuple[str, str | None]:
    """The name and value of the hash that DVC recorded; None as the value if it recorded none."""
    recorded = info.get("dvc_info") or {}
    return next(((name, str(recorded[name])) for name in (HASH, DVC_2_HASH) if recorded.get(name)), (HASH, None))


def _is_bookkeeping(relative: str) -> bool:
    return relative.endswith(".dvc") or any(part.startswith((".git", ".dvc")) for part in PurePosixPath(relative).parts)


def _hash_file(path: Path, name: str) -> str:
    if name == DVC_2_HASH:
        from dvc_data.hashfile.hash import file_md5
        from dvc_objects.fs.local import LocalFileSystem

        return str(file_md5(str(path), LocalFileSystem(), name=name))  # type: ignore[no-untyped-call]
    with path.open("rb") as file:
        return hashlib.file_digest(file, name).hexdigest()


@contextlib.contextmanager
def quiet_dvc() -> Iterator[None]:
    """Silence DVC's advice on standard output, which is for the command's result; warnings and errors still show,
    without the passwords and tokens of addresses.
    """
    dvc_logger = logging.getLogger("dvc")
    level, formatters = dvc_logger.level, [(handler, handler.formatter) for handler in dvc_logger.handlers]
    dvc_logger.setLevel(logging.WARNING)
    for handler, formatter in formatters:
        handler.setFormatter(_HidingFormatter(formatter or logging.Formatter()))
    try:
        yield
    finally:
        dvc_logger.setLevel(level)
        for handler, formatter in formatters:
            handler.setFormatter(formatter)


class _HidingFormatter(logging.Formatter):
    """Another formatter's lines without the credentials of the addresses in them."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return hide_credentials(self._inner.format(record))


@contextlib.contextmanager
def readable_errors(place: Place) -> Iterator[None]:
    """Turn DVC's exceptions into one line that says what to fix."""
    from dvc.exceptions import DvcException
    from dvc.scm import CloneError, RevError, SCMError
    from dvc_data.index import DataIndexDirError

    not_in_remote = f"{place}: its content is not in the remote storage; run `dvc push` where it is"
    try:
        with quiet_dvc():
            yield
    except RevError as error:
        raise UserError(f"{place.repository}: has no revision {place.revision!r}") from error
    except CloneError as error:
        reason = _first_line(list(_chain(error))[-1])
        raise UserError(f"{place.repository}: cannot be reached or is not a Git repository: {reason}") from error
    except SCMError as error:
        raise UserError(f"{place.repository}: {_first_line(error)}") from error
    except DataIndexDirError as error:
        reason = _refusal(error)
        raise UserError(f"{place}: its remote storage cannot be read: {reason}" if reason else not_in_remote) from error
    except FileNotFoundError as error:
        absent = f"{place.repository}@{place.revision}: has no {place.path}"
        raise UserError(not_in_remote if "storage files" in str(error) else absent) from error
    except (DvcException, OSError) as error:
        raise UserError(f"{place}: {_first_line(error)}") from error
    except Exception as error:
        if not _is_of_a_driver(error):
            raise
        advice = OWNERSHIP if "not owned by current user" in str(error) else ""
        raise UserError(f"{place}: {_first_line(error)}{advice}") from error


def _refusal(error: Exception) -> str:
    """Why a store did not give what was asked for, in its driver's words; "" where it just has no such thing."""
    causes = list(_chain(error))[1:]
    if not causes or isinstance(causes[0], FileNotFoundError):
        return ""
    return _first_line(next(filter(_is_of_a_driver, causes), causes[0]))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_of_a_driver(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in DRIVERS


def _first_line(error: BaseException) -> str:
    return hide_credentials((str(error).strip() or type(error).__name__).splitlines()[0])
