"""A folder that outlives its machine: a copy in a bucket, as the folder was at one moment.

Below the prefix lie the contents, each under its SHA-256, and `state.json`, which names them. It is written when all of
them are there, so whoever restores the folder finds a state in which it has been, whenever its process was killed.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from personsearch.errors import UserError
from personsearch.files import hash_file, inner_path
from personsearch.integrations.objects.google import GS, GoogleBucket
from personsearch.integrations.objects.open import S3
from personsearch.integrations.objects.s3 import S3Pictures

STATE, SIGNED = "state.json", "signed"
SECONDS = 10.0
COPIED_BYTES = 2**20  # a file that is appended to is small; a large one is replaced as a whole
PART_BYTES = 32 * 2**20
PASSING = (".partial", ".lock")

logger = logging.getLogger(__name__)

States = dict[str, tuple[int, int, int]]


class StoredFolder:
    """The copy of one folder, below `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`."""

    def __init__(self, address: str) -> None:
        """Contacts nothing.

        Raises:
            UserError: another kind of store is named, or what is needed to reach it is not in the environment.
        """
        self._store: ObjectStore
        if address.startswith(S3):
            s3 = S3Pictures(address)
            self.place, self._store, self._readable_errors = s3.place, s3.store, s3.readable_errors
        elif address.startswith(GS):
            google = GoogleBucket(address)
            self.place, self._store, self._readable_errors = google.place, google.store, google.readable_errors
        else:
            kind = address.partition("://")[0]
            raise UserError(
                f"checkpoints {address!r}: {S3}BUCKET/PREFIX, {GS}BUCKET/PREFIX or a folder expected; stores of the "
                f"kind {kind}:// are not supported, unless they also speak S3 (AWS_ENDPOINT_URL)"
            )
        self._own: set[str] = set()
        self._known: dict[tuple[int, int, int], str] = {}
        self._signed_at = datetime.fromtimestamp(0, UTC)

    def restore(self, folder: Path) -> bool:
        """Write the copy into an empty folder; whether there was a whole one.

        Raises:
            UserError: the store cannot be reached or does not permit it.
        """
        try:
            with self._readable_errors():
                files = json.loads(bytes(obstore.get(self._store, STATE).bytes()))
                self._own |= set(files.values())
                for name, digest in files.items():
                    self._download(digest, folder / _checked(name))
        except (FileNotFoundError, FileExistsError, NotADirectoryError, ValueError, AttributeError, TypeError) as error:
            if any(folder.iterdir()) or not isinstance(error, FileNotFoundError):
                logger.warning("%s: is damaged (%s) and not used", self.place, error)
                shutil.rmtree(folder)
                folder.mkdir()
            return False
        self._known = {state: files[name] for name, state in states(folder).items()}
        return True

    def keep(self, folder: Path) -> bool:
        """Bring the copy up to date; False if the folder changed meanwhile, and the copy is left as it was.

        Raises:
            UserError: as `restore`.
        """
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            snapshot = _snapshot(folder, Path(scratch))
            if snapshot is None:
                return False
            files = {}
            for name, state in snapshot.items():
                files[name] = self._known.get(state) or hash_file(Path(scratch) / name)
            with self._readable_errors():
                present = {str(each["path"]) for listed in obstore.list(self._store) for each in listed}
                for name, digest in files.items():
                    if digest not in present:
                        obstore.put(self._store, digest, Path(scratch) / name, chunk_size=PART_BYTES)
                        present.add(digest)
            if any(_state(Path(scratch) / name)[:2] != state[:2] for name, state in snapshot.items()):
                return False  # a large file was changed in its place
        with self._readable_errors():
            obstore.put(self._store, STATE, json.dumps(files).encode())
            if passed := sorted(self._own - set(files.values())):
                obstore.delete(self._store, passed)
        self._own = set(files.values())
        self._known = {state: files[name] for name, state in snapshot.items()}
        return True

    def forget(self) -> None:
        """Remove the copy.

        Raises:
            UserError: as `restore`.
        """
        with self._readable_errors():
            obstore.delete(self._store, [STATE])
            for listed in obstore.list(self._store):
                obstore.delete(self._store, [str(each["path"]) for each in listed])

    def sign(self, *, unless_within: timedelta = timedelta(0)) -> None:
        """Say that somebody still needs the copy, unless this was said within some time.

        Raises:
            UserError: as `restore`.
        """
        now = datetime.now(UTC)
        if now - self._signed_at >= unless_within:
            with self._readable_errors():
                obstore.put(self._store, SIGNED, b"")
            self._signed_at = now

    def signed_ago(self) -> timedelta | None:
        """How long ago somebody signed the copy, None if nobody did.

        Raises:
            UserError: as `restore`.
        """
        try:
            with self._readable_errors():
                return datetime.now(UTC) - obstore.head(self._store, SIGNED)["last_modified"]
        except FileNotFoundError:
            return None

    def _download(self, digest: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = obstore.head(self._store, digest)["size"]
        hashed = hashlib.sha256()
        with path.open("wb") as file:
            for start in range(0, size, PART_BYTES):
                part = bytes(obstore.get_range(self._store, digest, start=start, end=min(size, start + PART_BYTES)))
                hashed.update(part)
                file.write(part)
        if hashed.hexdigest() != digest:
            raise ValueError(f"{digest} has another content")


@contextmanager
def kept(folder: Path, stored: StoredFolder, *, hand_over: bool = False) -> Iterator[None]:
    """Restore a folder, keep its copy up to date while the block runs, and remove the copy when it succeeds.

    A store that fails meanwhile is a warning: the work continues, and the next try may succeed. To `hand_over` is to
    leave the whole copy for somebody else.

    Raises:
        UserError: the store cannot be reached at the beginning, or at the end of what is handed over.
    """
    if stored.restore(folder):
        logger.warning("continuing with what is in %s", stored.place)
    ended = threading.Event()
    keeper = threading.Thread(target=_keep_until, args=(ended, folder, stored, states(folder)), daemon=True)
    keeper.start()
    try:
        yield
    except BaseException:
        ended.set()
        keeper.join()
        _keep(folder, stored)
        raise
    ended.set()
    keeper.join()
    if hand_over:
        if not stored.keep(folder):
            raise UserError(f"{folder}: changed while its copy was written to {stored.place}")
        return
    try:
        stored.forget()
    except UserError as error:
        logger.warning("what is no longer needed stays in the store: %s", error)


def _checked(name: str) -> str:
    try:
        return inner_path(name, STATE)
    except UserError as error:
        raise ValueError(str(error)) from error


def _keep_until(ended: threading.Event, folder: Path, stored: StoredFolder, before: States) -> None:
    while not ended.wait(SECONDS):
        present = states(folder)
        if present != before and _keep(folder, stored):
            before = present


def _keep(folder: Path, stored: StoredFolder) -> bool:
    try:
        return stored.keep(folder)
    except (UserError, OSError) as error:
        logger.warning("checkpoints are not kept for now: %s", error)
        return False


def states(folder: Path) -> States:
    """Size, time and number of each file, without what is being written."""
    found: States = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(part.endswith(PASSING) for part in name.split("/")):
            continue
        try:
            if path.is_file():
                found[name] = _state(path)
        except FileNotFoundError:
            continue  # it was removed meanwhile
    return found


def _state(path: Path) -> tuple[int, int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ino


def _snapshot(folder: Path, scratch: Path) -> States | None:
    """The files as they are now, in another folder; None if they change meanwhile."""
    before = states(folder)
    try:
        for name, (size, _, _) in before.items():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            if size <= COPIED_BYTES:
                shutil.copy2(folder / name, scratch / name)
            else:
                os.link(folder / name, scratch / name)
    except FileNotFoundError:
        return None
    return before if states(folder) == before else None
