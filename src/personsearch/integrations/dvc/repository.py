"""Keeps versions of data sets in a small Git and DVC repository of our own, so nobody's checkout gets commits."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from personsearch.errors import UserError, check_exists, explain
from personsearch.integrations.dvc.version import quiet_dvc

REMOTE_FOLDER = "dvc-remote"
# The user's own Git settings (signing, hooks, no name yet) must not stop an unattended commit.
GIT = (
    "git",
    "-c", "user.name=personsearch",
    "-c", "user.email=personsearch@localhost",
    "-c", "commit.gpgsign=false",
    "-c", "core.hooksPath=/dev/null",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """Where one version of a data set is stored, and its identity (DVC's hash)."""

    repository: str
    revision: str
    path: str
    dataset_hash: str


def create_data_repository(folder: Path, *, remote: str | None = None) -> None:
    """Make `folder` a Git and DVC repository; what exists is kept.

    `remote` is an address that DVC knows, such as `s3://BUCKET/PREFIX`; unset it is the folder `dvc-remote` beside.

    Raises:
        UserError: git is missing or fails, or the repository has another remote.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        _git(folder, "init", "--quiet", "--initial-branch=main")
    config = folder / ".dvc" / "config"
    said = config.read_text(encoding="utf-8") if config.is_file() else ""
    if "remote" in said:
        if remote and remote not in re.findall(r"^\s*url\s*=\s*(.*\S)", said, re.MULTILINE):
            raise UserError(f"{folder}: its data goes elsewhere than {remote}, see {config}; name another repository")
    else:
        _init_dvc(folder)
        storage = f"['remote \"storage\"']\n    url = {remote or f'../../{REMOTE_FOLDER}'}\n"
        config.write_text(f"[core]\n    analytics = false\n    remote = storage\n{storage}", encoding="utf-8")
    _commit_all(folder, "Start the data repository")


def commit_dataset(folder: Path, dataset: Path, message: str) -> DatasetVersion:
    """Store a data set in the repository's remote and commit its hash under the data set's name.

    The content goes only to the remote; the repository holds no copy. The same content gives the same version.

    Raises:
        UserError: no such data set, or git or DVC fails.
    """
    check_exists(dataset, "a data set")
    if not dataset.is_dir() or not any(dataset.iterdir()):
        raise UserError(f"{dataset}: no data set there")
    dataset_hash = _add_to_remote(folder, dataset)
    _remove_left_uploads(folder.parent / REMOTE_FOLDER)
    _commit_all(folder, message)
    revision = _git(folder, "log", "-1", "--format=%H", "--", f"{dataset.name}.dvc")
    return DatasetVersion(str(folder.resolve()), revision, dataset.name, dataset_hash)


def _init_dvc(folder: Path) -> None:
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with quiet_dvc(), Repo.init(str(folder), force=True):
            return
    except DvcException as error:
        raise UserError(f"{folder}: DVC cannot start a repository: {error}") from error


def _add_to_remote(folder: Path, dataset: Path) -> str:
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with quiet_dvc(), Repo(str(folder)) as repository:
            stages = repository.add([str(dataset.resolve())], out=str(folder.resolve() / dataset.name), to_remote=True)
            return str(stages[0].outs[0].hash_info.value)
    except DvcException as error:
        raise UserError(f"{folder}: DVC cannot add {dataset}: {error}") from error
    except OSError as error:
        raise UserError(f"{error.filename or dataset}: {explain(error)}") from error


def _remove_left_uploads(remote: Path) -> None:
    """Delete DVC's leftovers: 3.67 uploads under a temporary name, copies to the final one and keeps both."""
    for path in remote.glob("files/md5/.*.tmp"):
        path.unlink(missing_ok=True)


def _commit_all(folder: Path, message: str) -> None:
    _git(folder, "add", "--all")
    if _git(folder, "status", "--porcelain"):
        _git(folder, "commit", "--quiet", "--message", message)


def _git(folder: Path, *arguments: str) -> str:
    command = [*GIT, "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except FileNotFoundError as error:
        raise UserError("git: is not installed; DVC needs it") from error
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines()
        reason = next((line for line in lines if line.startswith(("fatal:", "error:"))), str(error))
        raise UserError(f"{folder}: git {arguments[0]} failed: {reason}") from error
