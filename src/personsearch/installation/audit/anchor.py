"""Heads of the chain, kept at a place apart from the database.

Whoever may write the database could write a whole new chain, or cut its end. Who compares it with heads that were kept
elsewhere, under other rights, sees that.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from personsearch.addresses import is_address
from personsearch.errors import UserError, explain
from personsearch.files import private_folder, replacing
from personsearch.installation.audit.chain import START, Head
from personsearch.installation.audit.log import AuditLog
from personsearch.installation.settings import Settings
from personsearch.integrations.objects.open import S3

if TYPE_CHECKING:
    from personsearch.integrations.objects.heads import S3Heads

logger = logging.getLogger(__name__)


class Anchor(Protocol):
    """A place where heads are kept."""

    @property
    def place(self) -> str:
        """Where that is, for messages."""
        ...

    def keep(self, head: Head) -> None:
        """Keep a head. Raises UserError where that cannot be done."""
        ...

    def heads(self) -> Iterator[Head]:
        """The heads that were kept, by their number. Raises UserError where they cannot be read."""
        ...


class FolderAnchor:
    """A file for each head, named by its number and hash and never written again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = str(folder)

    def keep(self, head: Head) -> None:
        """Write the head's file, unless it is there."""
        path = self._folder / name_of(head)
        try:
            private_folder(self._folder)
            if not path.exists():
                with replacing(path, mode=0o600) as temporary:
                    temporary.write_text(text_of(head))
        except OSError as error:
            raise UserError(f"{path}: the head of the audit log cannot be kept: {explain(error)}") from error

    def heads(self) -> Iterator[Head]:
        """Those of the files' names."""
        try:
            names = sorted(path.name for path in self._folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"{self._folder}: cannot be read: {explain(error)}") from error
        yield from (head for name in names if (head := head_of(name)) is not None)


class BucketAnchor:
    """An object for each head, named as the files of a folder are."""

    def __init__(self, heads: "S3Heads") -> None:
        self._heads = heads
        self.place = heads.place

    def keep(self, head: Head) -> None:
        """Write the head's object."""
        self._heads.keep(name_of(head), text_of(head))

    def heads(self) -> Iterator[Head]:
        """Those of the objects' names, which a bucket lists in their order."""
        yield from (head for name in self._heads.kept() if (head := head_of(name)) is not None)


class AnchorSchedule:
    """Keeps the head at an interval, in a thread of its own, and once more at the end."""

    def __init__(
        self, log: AuditLog, anchor: Anchor, *, interval_seconds: float, failed: Callable[[], None] = lambda: None
    ) -> None:
        self._log = log
        self._anchor = anchor
        self._interval = interval_seconds
        self._failed = failed
        self._kept = START
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-anchor", daemon=True)

    def start(self) -> None:
        """Begin with the head as it is now."""
        self._thread.start()

    def stop(self) -> None:
        """Keep the last head."""
        self._stopping.set()
        self._thread.join()

    def keep(self) -> None:
        """Keep the head if it is a new one. Never raises: a search does not depend on it."""
        try:
            head = self._log.head()
            if head != self._kept:
                self._anchor.keep(head)
                self._kept = head
        except UserError as error:
            self._failed()
            logger.error("%s", error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.keep()
            self._stopping.wait(self._interval)
        self.keep()


def open_anchor(settings: Settings) -> Anchor:
    """Where an installation keeps the heads of its chain. Nothing is contacted.

    Raises:
        UserError: the setting names neither a folder nor a bucket.
    """
    address = settings.audit_anchor_address
    if address.startswith(S3):
        from personsearch.integrations.objects.heads import S3Heads

        return BucketAnchor(S3Heads(address))
    if is_address(address):
        raise UserError(f"PERSONSEARCH_AUDIT_ANCHOR {address!r}: a folder or s3://BUCKET/PREFIX expected")
    return FolderAnchor(Path(address))


def name_of(head: Head) -> str:
    """A head's name at its place; names are ordered as the heads are."""
    return f"{head.sequence:012}-{head.hash}.json"


def text_of(head: Head) -> str:
    """A head for those who open its file."""
    return json.dumps({"sequence": head.sequence, "hash": head.hash}) + "\n"


def head_of(name: str) -> Head | None:
    """The head of a name, None of any other file."""
    number, _, digest = name.removesuffix(".json").partition("-")
    return Head(int(number), digest) if number.isdecimal() and len(digest) == 64 and name.endswith(".json") else None
