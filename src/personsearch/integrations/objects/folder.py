"""A folder that outlives its machine: a copy in a bucket, as the folder was at one moment.

Below the prefix lie the contents, each under its SHA-256, and `state.json`, which names them. It is written when all of
them are there, so whoever restores the folder finds a state in which it has been, whenever its process was killed.

Two pods may work on one step, where the node of the first is thought lost and is not. So whoever keeps a folder claims
it, and writes below `<number>-<token>/`, with a higher number than all before. The highest claim counts: its owner
removes what earlier ones left once it has kept a state of its own, and an earlier one that sees it ends, removing
nothing.
"""

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from personsearch.errors import UserError
from personsearch.files import hash_file, inner_path
from personsearch.integrations.objects.google import GS, GoogleBucket
from personsearch.integrations.objects.open import S3
from personsearch.integrations.objects.s3 import S3Pictures

STATE, CLAIM, SIGNED = "state.json", "claim", "signed"
CLAIMED = re.compile(r"\d{6}-[0-9a-f]{8}/")
TRIES = 3  # while an earlier owner removes what is read
SECONDS = 10.0
COPIED_BYTES = 2**20  # a file that is appended to is small; a large one is replaced as a whole
PART_BYTES = 32 * 2**20
PASSING = (".partial", ".lock")

logger = logging.getLogger(__name__)

States = dict[str, tuple[int, int, int]]


class TakenOver(UserError):
    """Somebody else has claimed a folder, or has ended with it."""


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
        self._claimed = ""  # the prefix of what this process writes
        self._known: dict[tuple[int, int, int], str] = {}
        self._signed_at = datetime.fromtimestamp(0, UTC)

    def claim(self) -> None:
        """Become the one who keeps the folder; whoever did until now is refused.

        Raises:
            UserError: the store cannot be reached or does not permit it.
        """
        latest = max((int(claim.partition("-")[0]) for claim in _claims(self._names())), default=0)
        self._claimed = f"{latest + 1:06d}-{secrets.token_hex(4)}/"
        with self._readable_errors():
            obstore.put(self._store, f"{self._claimed}{CLAIM}", b"")

    def check(self) -> None:
        """Look whether the claim still counts.

        Raises:
            TakenOver: it does not.
            UserError: as `claim`.
        """
        self._check(self._names())

    def restore(self, folder: Path) -> bool:
        """Write the latest copy into an empty folder; whether there was a whole one.

        Raises:
            UserError: as `claim`.
        """
        for _ in range(TRIES):
            names = self._names()
            for state in _states(names):
                if (files := self._restored(state, folder)) is not None:
                    self._known = {each: files[name] for name, each in states(folder).items()}
                    return True
            if self._names() == names:
                break
        return False

    def keep(self, folder: Path) -> bool:
        """Bring the copy up to date; False if the folder changed meanwhile, and the copy is left as it was.

        Raises:
            TakenOver: somebody else has claimed the folder.
            UserError: as `claim`.
        """
        present = self._names()
        self._check(present)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            snapshot = _snapshot(folder, Path(scratch))
            if snapshot is None:
                return False
            files = {}
            for name, state in snapshot.items():
                files[name] = self._known.get(state) or hash_file(Path(scratch) / name)
            self._put_contents(files, Path(scratch), present)
            if any(_state(Path(scratch) / name)[:2] != state[:2] for name, state in snapshot.items()):
                return False  # a large file was changed in its place
        with self._readable_errors():
            obstore.put(self._store, f"{self._claimed}{STATE}", json.dumps(files).encode())
        if self._claimed:
            own = {f"{self._claimed}{name}" for name in (CLAIM, STATE, *files.values())}
            self._remove(sorted(present - own - {SIGNED}))
        self._known = {state: files[name] for name, state in snapshot.items()}
        return True

    def forget(self) -> None:
        """Remove the copy.

        Raises:
            TakenOver: somebody else has claimed the folder.
            UserError: as `claim`.
        """
        names = self._names()
        self._check(names)
        named = set(_states(names))
        self._remove(sorted(named))
        self._remove(sorted(names - named))

    def sign(self, *, unless_within: timedelta = timedelta(0)) -> None:
        """Say that somebody still needs the copy, unless this was said within some time.

        Raises:
            UserError: as `claim`.
        """
        now = datetime.now(UTC)
        if now - self._signed_at >= unless_within:
            with self._readable_errors():
                obstore.put(self._store, SIGNED, b"")
            self._signed_at = now

    def signed_ago(self) -> timedelta | None:
        """How long ago somebody signed the copy, None if nobody did.

        Raises:
            UserError: as `claim`.
        """
        try:
            with self._readable_errors():
                return datetime.now(UTC) - obstore.head(self._store, SIGNED)["last_modified"]
        except FileNotFoundError:
            return None

    def _names(self) -> set[str]:
        with self._readable_errors():
            return {str(each["path"]) for listed in obstore.list(self._store) for each in listed}

    def _remove(self, names: Sequence[str]) -> None:
        if names:
            with self._readable_errors():
                obstore.delete(self._store, names)

    def _check(self, names: set[str]) -> None:
        """Refuse where a later claim is; without its own, what this process wrote since is nobody's."""
        if not self._claimed:
            return
        removed = f"{self._claimed}{CLAIM}" not in names
        if removed:
            self._remove(sorted(name for name in names if name.startswith(self._claimed)))
        if removed or max(_claims(names)) > self._claimed:
            raise TakenOver(
                f"{self.place}: another pod of this step has taken over; this one ends, and removes nothing"
            )

    def _put_contents(self, files: Mapping[str, str], source: Path, present: set[str]) -> None:
        with self._readable_errors():
            for digest, name in {digest: name for name, digest in files.items()}.items():
                if f"{self._claimed}{digest}" not in present:
                    obstore.put(self._store, f"{self._claimed}{digest}", source / name, chunk_size=PART_BYTES)

    def _restored(self, state: str, folder: Path) -> dict[str, str] | None:
        """Write what a state names, and return it; nothing and None if it is damaged, or is being replaced."""
        try:
            with self._readable_errors():
                files: dict[str, str] = json.loads(bytes(obstore.get(self._store, state).bytes()))
                for name, digest in files.items():
                    self._download(f"{state.removesuffix(STATE)}{digest}", digest, folder / _checked(name))
        except (FileNotFoundError, FileExistsError, NotADirectoryError, ValueError, AttributeError, TypeError) as error:
            logger.warning("%s: is damaged (%s) and not used", self.place, error)
            shutil.rmtree(folder)
            folder.mkdir()
            return None
        return files

    def _download(self, address: str, digest: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = obstore.head(self._store, address)["size"]
        hashed = hashlib.sha256()
        with path.open("wb") as file:
            for start in range(0, size, PART_BYTES):
                part = bytes(obstore.get_range(self._store, address, start=start, end=min(size, start + PART_BYTES)))
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
        TakenOver: another process has claimed the folder; the block was interrupted.
        UserError: the store cannot be reached at the beginning, or at the end of what is handed over.
    """
    stored.claim()
    if stored.restore(folder):
        logger.warning("continuing with what is in %s", stored.place)
    ended = threading.Event()
    taken_over: list[TakenOver] = []
    keeper = threading.Thread(target=_keep_until, args=(ended, folder, stored, states(folder), taken_over), daemon=True)
    keeper.start()
    try:
        try:
            yield
        finally:
            ended.set()
            keeper.join()
    except BaseException:
        if taken_over:
            raise taken_over[0] from None
        with suppress(TakenOver):
            _keep(folder, stored)
        raise
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


def _keep_until(
    ended: threading.Event, folder: Path, stored: StoredFolder, before: States, taken_over: list[TakenOver]
) -> None:
    while not ended.wait(SECONDS):
        present = states(folder)
        try:
            if present == before:
                stored.check()
            elif _keep(folder, stored):
                before = present
        except TakenOver as error:
            taken_over.append(error)
            os.kill(os.getpid(), signal.SIGINT)
            return
        except UserError:
            continue  # the store is away; whoever has something to keep says so


def _keep(folder: Path, stored: StoredFolder) -> bool:
    try:
        return stored.keep(folder)
    except TakenOver:
        raise
    except (UserError, OSError) as error:
        logger.warning("checkpoints are not kept for now: %s", error)
        return False


def _claims(names: set[str]) -> set[str]:
    """The prefixes of all who have claimed a folder."""
    return {found[0] for name in names if (found := CLAIMED.match(name))}


def _states(names: set[str]) -> list[str]:
    """Where there are states, the latest first."""
    return [state for claim in [*sorted(_claims(names), reverse=True), ""] if (state := f"{claim}{STATE}") in names]


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
