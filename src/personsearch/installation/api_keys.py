"""API keys: made at random, kept as hashes in the installation's database.

    <home>/api_key         the key that `personsearch up` made for the person at this machine, for its owner alone
    <home>/api_keys.json   the hashes of an earlier version, moved into the database when they are found

A key holds 256 random bits, so a plain SHA-256 cannot be brute-forced; a password would need a slow hash.
"""

import hashlib
import hmac
import json
import logging
import secrets
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from personsearch.errors import UserError
from personsearch.files import replacing
from personsearch.installation.settings import Settings

if TYPE_CHECKING:
    from personsearch.integrations.database.keys import DatabaseKeys, Scope, StoredKey

logger = logging.getLogger(__name__)

KEYS_FILE = "api_keys.json"
LOCAL_KEY_FILE = "api_key"
MINIMUM_LENGTH = 16
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class GivenKey:
    """A key that the environment gives. Logs show its `name`."""

    name: str
    sha256: str


def name_among(keys: Iterable[GivenKey], key: str) -> str | None:
    """The name of a presented key, None if it is none of these; takes the same time for every key."""
    presented, found = hash_key(key), None
    for known in keys:
        if hmac.compare_digest(known.sha256, presented):
            found = known.name
    return found


def keys_from_text(text: str) -> list[GivenKey]:
    """Keys of a comma-separated list, named by the start of their hash.

    Raises:
        UserError: a key is too short to be secret.
    """
    keys = [key for part in text.split(",") if (key := part.strip())]
    for number, key in enumerate(keys, start=1):
        if len(key) < MINIMUM_LENGTH:
            raise UserError(
                f"API key {number} of {len(keys)}: {len(key)} characters, at least {MINIMUM_LENGTH} expected"
            )
    return [GivenKey(f"key-{hash_key(key)[:8]}", hash_key(key)) for key in keys]


def open_keys(settings: Settings) -> "DatabaseKeys":
    """The keys of an installation; those in the file of an earlier version are moved into its database.

    Raises:
        UserError: the database cannot be used, or that file cannot be understood.
    """
    from personsearch.integrations.database.keys import DatabaseKeys
    from personsearch.integrations.database.schema import open_database

    keys = DatabaseKeys(open_database(settings.database_address))
    file = settings.home / KEYS_FILE
    if file.exists():
        try:
            keys.take_over(_read_file(file))
            file.unlink()
        except FileNotFoundError:  # another process was faster
            return keys
        logger.warning("%s: its keys are in the database now; `personsearch keys list` shows them", file)
    return keys


def make_key(
    keys: "DatabaseKeys", name: str, *, days: float | None = None, scopes: "Sequence[Scope]" = ("search",)
) -> str:
    """Make a key, and return it: nobody can see it again. It allows what `scopes` name, and nothing else.

    Raises:
        UserError: it is no name, a key of this name is accepted, or `days` are none.
    """
    from personsearch.integrations.database.keys import StoredKey

    if not (0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()):
        raise UserError(f"key {name!r}: a name of 1 to {LONGEST_NAME} printable characters expected")
    if days is not None and not days > 0:
        raise UserError(f"key {name!r}: {days:g} days; more than 0 expected")
    key, now = f"ps_{secrets.token_urlsafe(32)}", datetime.now(UTC)
    try:
        expires_at = None if days is None else now + timedelta(days=days)
    except OverflowError as error:
        raise UserError(f"key {name!r}: {days:g} days reach beyond the calendar") from error
    keys.add(StoredKey(name, hash_key(key), now, expires_at, scopes=tuple(dict.fromkeys(scopes))))
    return key


def local_key(settings: Settings) -> str:
    """The key of the person at this machine; the first call makes it, and so does one after its file was lost."""
    keys, path = open_keys(settings), settings.home / LOCAL_KEY_FILE
    if path.exists():
        key = path.read_text(encoding="utf-8").strip()
        known = keys.find(hash_key(key))
        if known is not None and known.is_accepted(datetime.now(UTC)):
            return key
    name = f"local@{socket.gethostname()[: LONGEST_NAME - 6]}"
    for each in (name, "local"):  # the second is the name that an earlier version gave
        keys.revoke(each, datetime.now(UTC))
    key = make_key(keys, name)
    write_secret(path, key + "\n")
    return key


def write_secret(path: Path, text: str) -> None:
    """Replace a file that others can never read, not even while it is being written."""
    with replacing(path, mode=0o600) as temporary:
        temporary.write_text(text, encoding="utf-8")


def hash_key(key: str) -> str:
    """The stored form of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _read_file(path: Path) -> "list[StoredKey]":
    from personsearch.integrations.database.keys import StoredKey

    try:
        made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [StoredKey(entry["name"], entry["sha256"], made) for entry in entries]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not a list of API keys: {error}") from error
