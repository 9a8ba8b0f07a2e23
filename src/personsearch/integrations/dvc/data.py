"""Fetches data sets by (repository, revision, path) with DVC. DVC's own hash identifies a version."""

import logging
import shutil
from pathlib import Path

from personsearch.errors import UserError, dangling_link
from personsearch.files import partial_folder
from personsearch.integrations.dvc.version import Place, Version, VersionedFile, identity, open_version, readable_errors

logger = logging.getLogger(__name__)


def dataset_identity(repository: str, revision: str, path: str, *, remote: str | None = None) -> str:
    """DVC's hash of `path` at `revision` of a Git repository (a folder or any Git URL); no data is downloaded.

    Raises:
        UserError: the repository cannot be reached, has no such revision or path, or DVC does not track the path; or
            the revision is HEAD and the working tree has another version that is not committed, or changed files.
    """
    place = Place(repository, revision, path, remote)
    with readable_errors(place):
        return identity(open_version(place), place)


def fetch(
    repository: str,
    revision: str,
    path: str,
    out_dir: Path,
    *,
    remote: str | None = None,
    expected_hash: str | None = None,
) -> str:
    """Bring `path` at `revision` of a Git repository into `out_dir`; returns DVC's hash.

    `remote` names a DVC remote of that repository other than its default. Every file is checked against its hash. An
    interrupted fetch resumes where it stopped, and `out_dir` appears only when it is complete.

    Raises:
        UserError: as `dataset_identity`; the content is not in the remote; the hash is not `expected_hash`; or
            `out_dir` holds something else.
    """
    place = Place(repository, revision, path, remote)
    with readable_errors(place):
        version = open_version(place)
        dataset_hash = identity(version, place)
        if expected_hash and dataset_hash != expected_hash:
            raise UserError(f"{place}: has hash {dataset_hash}; {expected_hash} expected")
        if not _is_whole(out_dir, version.files):
            _download(version, out_dir)
    return dataset_hash


def _is_whole(out_dir: Path, files: list[VersionedFile]) -> bool:
    """Whether `out_dir` already is this version.

    Raises:
        UserError: it holds something else.
    """
    if link := dangling_link(out_dir):
        raise UserError(f"{out_dir}: {link}")
    if not out_dir.exists() or not any(out_dir.iterdir()):
        return False
    present = {path.relative_to(out_dir).as_posix() for path in out_dir.rglob("*") if path.is_file()}
    if present == {file.relative for file in files} and all(file.is_intact(out_dir) for file in files):
        return True
    raise UserError(f"{out_dir}: holds something other than this version; an empty folder expected")


def _download(version: Version, out_dir: Path) -> None:
    partial, files = partial_folder(out_dir), version.files
    missing = [file for file in files if not file.is_intact(partial)]
    logger.info("fetching %d of %d files", len(missing), len(files))
    if len(missing) == len(files) > 1:
        _get_folder(version, partial)
    elif missing:
        _get_files(version, missing, partial)
    for file in missing:
        if not file.is_intact(partial):
            raise UserError(f"{file.repository_path}: its content does not match its hash {file.hash}")
    _remove_others(partial, {file.relative for file in files})
    if out_dir.exists():
        out_dir.rmdir()
    partial.rename(out_dir)


def _get_folder(version: Version, partial: Path) -> None:
    """Fetch everything in one call, which is five times as fast as file by file."""
    shutil.rmtree(partial, ignore_errors=True)
    version.file_system.get(version.path, str(partial), recursive=True)


def _get_files(version: Version, files: list[VersionedFile], partial: Path) -> None:
    """Fetch the files that an interrupted fetch did not reach."""
    for file in files:
        (partial / file.relative).parent.mkdir(parents=True, exist_ok=True)
    version.file_system.get([file.repository_path for file in files], [str(partial / file.relative) for file in files])


def _remove_others(partial: Path, expected: set[str]) -> None:
    """Delete files of another version, left by an interrupted fetch, and the records that Git and DVC keep."""
    for path in partial.rglob("*"):
        if path.is_file() and path.relative_to(partial).as_posix() not in expected:
            path.unlink()
