"""A place of backups: contents under their SHA-256, shared by all backups, and a manifest for each.

backups/<name>.json       what one backup consists of, written when all of it is there; <name> is its time
contents/<ab>/<sha256>    pictures, and parts: lists of rows, of pictures, of files, or vectors
installations/<id>        the one installation that may change what is here
unfinished.json           parts of a backup that was interrupted, which the next one does not make again
"""

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from personsearch.errors import UserError
from personsearch.integrations.objects.backups import BackupPlace

MANIFESTS = "backups/"
CONTENTS = "contents/"
OWNERS = "installations/"
UNFINISHED = "unfinished.json"
FORMAT = 1
Kind = Literal["database", "crops", "milvus", "mlflow"]
KINDS: tuple[Kind, ...] = ("database", "crops", "milvus", "mlflow")


class Damaged(UserError):
    """A content of a backup is missing, or is not what was written."""


class Record(BaseModel):
    """What a manifest is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(Record):
    """Some of the things of a backup, in one content, perhaps with others that it names. `key` is equal for equal
    things, "" where they may change; `bytes` are of all these contents, and `missing` things had none.
    """

    key: str
    sha256: str
    items: int
    bytes: int
    missing: int = 0


class Table(Record):
    """The rows of one table, the hash of all of them, and the names of their columns."""

    name: str
    columns: tuple[str, ...]
    rows: int
    sha256: str
    parts: tuple[Part, ...]


class Tables(Record):
    """The tables of a database at one moment, and the revision of its schema."""

    at: datetime
    revision: str
    tables: tuple[Table, ...]


class PictureLists(Record):
    """The pictures that those rows name."""

    parts: tuple[Part, ...]

    @property
    def missing(self) -> int:
        """How many of them were not there."""
        return sum(part.missing for part in self.parts)


class VectorLists(Record):
    """The vectors of the live collection, and its properties as Milvus keeps them."""

    collection: str
    properties: dict[str, str]
    parts: tuple[Part, ...]


class Registry(Record):
    """MLflow's tables, the version that they are of, and its files."""

    version: str
    root: str
    tables: Tables
    parts: tuple[Part, ...]


class Manifest(Record):
    """One whole backup."""

    format: int = FORMAT
    name: str
    personsearch: str
    began_at: datetime
    ended_at: datetime
    database: Tables | None = None
    crops: PictureLists | None = None
    milvus: VectorLists | None = None
    mlflow: Registry | None = None

    @property
    def kinds(self) -> list[Kind]:
        """What it holds."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    @property
    def bytes(self) -> int:
        """All that it names, also what other backups share with it."""
        return sum(part.bytes for _, part in self.parts())

    def parts(self) -> Iterator[tuple[Kind, Part]]:
        """Every part of it, and of what it is one."""
        for tables, kind in ((self.database, KINDS[0]), (self.mlflow and self.mlflow.tables, KINDS[3])):
            yield from ((kind, part) for table in (tables.tables if tables else ()) for part in table.parts)
        for kind in KINDS[1:]:
            held = getattr(self, kind)
            yield from ((kind, part) for part in (held.parts if held else ()))

    def lists(self) -> Iterator[Part]:
        """The parts that name contents: lists of pictures and of files."""
        for held in (self.crops, self.mlflow):
            yield from held.parts if held else ()


class Archive:
    """The backups in one place."""

    def __init__(self, place: BackupPlace) -> None:
        self.place = place

    def manifests(self, *, damaged: list[str] | None = None) -> list[Manifest]:
        """Every whole backup, the oldest first. What is wrong with damaged ones is added to `damaged`, if given.

        Raises:
            UserError: one is damaged, or was made by a newer version.
        """
        found = []
        for name in sorted(name for page in self.place.names(MANIFESTS) for name in page if _is_manifest(name)):
            try:
                manifest = self._manifest(name)
            except Damaged as error:
                if damaged is None:
                    raise
                damaged.append(str(error))
                continue
            if manifest is not None:
                found.append(manifest)
        return found

    def manifest(self, name: str | None) -> Manifest:
        """The backup of this name, or the newest. A damaged one is refused with the name of the newest whole one.

        Raises:
            UserError: as `manifests`, or there is none.
        """
        if name is None:
            names = sorted(name for page in self.place.names(MANIFESTS) for name in page if _is_manifest(name))
            if not names:
                raise UserError(f"{self.place.place}: no backup is there")
            name = names[-1].removeprefix(MANIFESTS).removesuffix(".json")
        try:
            manifest = self._manifest(f"{MANIFESTS}{name}.json")
        except Damaged as error:
            whole = self.manifests(damaged=[])
            instead = f"the newest whole one is {whole[-1].name} (--backup)" if whole else "no other is whole"
            raise Damaged(f"{error}; {instead}") from error
        if manifest is None:
            raise UserError(f"{self.place.place}: no backup {name!r}; `personsearch backup list` shows all")
        return manifest

    def write(self, manifest: Manifest) -> None:
        """Make a backup count: everything that it names must be there."""
        body = manifest.model_dump(mode="json")
        signed = {"sha256": _sha256(_canonical(body)), "manifest": body}
        self.place.put([(f"{MANIFESTS}{manifest.name}.json", json.dumps(signed, indent=1).encode())])

    def forget(self, manifest: Manifest) -> None:
        """Let a backup count no more; what it alone named stays until `sweep`."""
        self.place.remove([f"{MANIFESTS}{manifest.name}.json"])

    def owners(self) -> list[str]:
        """The installations that have claimed this place: one, but while two claim it at the same time."""
        return [name.removeprefix(OWNERS) for page in self.place.names(OWNERS) for name in page if _is_owner(name)]

    def claim(self, installation: str) -> None:
        """Add an installation to them."""
        since = {"since": datetime.now(UTC).isoformat(timespec="seconds")}
        self.place.put([(f"{OWNERS}{installation}", json.dumps(since).encode())])

    def unclaim(self, installations: Iterable[str]) -> None:
        """Remove installations from them."""
        self.place.remove([f"{OWNERS}{each}" for each in installations])

    def store(self, contents: Sequence[bytes]) -> list[str]:
        """Write contents; returns their hashes."""
        hashes = list(map(_sha256, contents))
        self.place.put([(_address(sha256), each) for sha256, each in zip(hashes, contents, strict=True)])
        return hashes

    def load(self, hashes: Sequence[str]) -> list[bytes]:
        """Contents by their hashes, compared with them.

        Raises:
            Damaged: one is missing or differs.
        """
        return [
            self._checked(*each) for each in zip(hashes, self.place.get_many(list(map(_address, hashes))), strict=True)
        ]

    def lines(self, part: Part) -> list[str]:
        """The lines of a list."""
        (content,) = self.load([part.sha256])
        return gzip.decompress(content).decode().split("\n")[:-1]

    def unfinished(self) -> list[Part]:
        """The parts of a backup that was interrupted; none if the list of them is damaged."""
        try:
            return [Part.model_validate(each) for each in json.loads(self.place.get(UNFINISHED) or b"[]")]
        except (ValueError, TypeError):
            return []

    def note_unfinished(self, parts: Iterable[Part]) -> None:
        """Keep the parts of a backup under way for the next one."""
        self.place.put([(UNFINISHED, json.dumps([part.model_dump() for part in parts]).encode())])

    def end_unfinished(self) -> None:
        """Forget them."""
        self.place.remove([UNFINISHED])

    def sweep(self) -> int:
        """Remove the contents that no backup names; returns how many. One that is under way must not be.

        The hashes of all that is named are in memory meanwhile: about 100 bytes for each picture.
        """
        self.end_unfinished()
        named: set[bytes] = set()
        for manifest in self.manifests():
            named.update(bytes.fromhex(part.sha256) for _, part in manifest.parts())
            named.update(bytes.fromhex(sha256) for part in manifest.lists() for sha256 in self.named_by(part))
        removed = 0
        for page in self.place.names(CONTENTS):
            left = [name for name in page if _hash_in(name) not in named]
            self.place.remove(left)
            removed += len(left)
        return removed

    def named_by(self, part: Part) -> Iterator[str]:
        """The hashes of the contents that a list of pictures or files names."""
        for line in self.lines(part):
            yield from json.loads(line)[-1]

    def _manifest(self, name: str) -> Manifest | None:
        content = self.place.get(name)
        if content is None:
            return None
        where = f"{self.place.place}/{name}"
        try:
            signed = json.loads(content)
            body, sha256 = signed["manifest"], signed["sha256"]
        except (ValueError, KeyError, TypeError):
            raise Damaged(f"{where}: is damaged") from None
        if sha256 != _sha256(_canonical(body)):
            raise Damaged(f"{where}: is damaged: its SHA-256 differs from what it says")
        if body.get("format") != FORMAT:
            raise UserError(f"{where}: was made by a newer version of personsearch ({body.get('personsearch')})")
        try:
            return Manifest.model_validate(body)
        except ValidationError as error:
            raise Damaged(f"{where}: is damaged: {error.errors()[0]['msg']}") from error

    def _checked(self, sha256: str, content: bytes | None) -> bytes:
        where = f"{self.place.place}/{_address(sha256)}"
        if content is None:
            raise Damaged(f"{where}: is missing")
        if _sha256(content) != sha256:
            raise Damaged(f"{where}: is damaged: its SHA-256 is another")
        return content


class Writer:
    """Writes the parts of one backup. What another backup has under the same key is not made again."""

    def __init__(self, archive: Archive, known: Iterable[Part] = ()) -> None:
        self.archive = archive
        self._known = {part.key: part for part in known if part.key}
        self._written: list[Part] = []

    def known(self, key: str) -> Part | None:
        """The part of this key, where there is one."""
        return self._known.get(key)

    def write(self, key: str, content: bytes, *, items: int, named: int = 0, missing: int = 0) -> Part:
        """Write a part that names contents of so many bytes. Those must be there."""
        (sha256,) = self.archive.store([content])
        part = Part(key=key, sha256=sha256, items=items, bytes=len(content) + named, missing=missing)
        self._written.append(part)
        self.archive.note_unfinished(self._written)
        return part


def _is_manifest(name: str) -> bool:
    return name.endswith(".json") and not name.removeprefix(MANIFESTS).startswith(".")


def _is_owner(name: str) -> bool:
    return not name.removeprefix(OWNERS).startswith(".")  # what a killed writer left half written


def _address(sha256: str) -> str:
    return f"{CONTENTS}{sha256[:2]}/{sha256}"


def _hash_in(name: str) -> bytes:
    try:
        return bytes.fromhex(name.rpartition("/")[2])
    except ValueError:
        return b""  # what a killed writer left half written


def _canonical(body: object) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
