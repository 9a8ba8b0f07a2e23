"""API keys: made at random, kept as hashes, compared in constant time.

    <home>/api_keys.json   name and SHA-256 of each key that serving accepts, readable by its owner alone
    <home>/api_key         the key that `personsearch up` made for the person at this machine

A key holds 256 random bits, so a plain SHA-256 cannot be brute-forced; a password would need a slow hash.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from personsearch.errors import UserError
from personsearch.files import replacing

KEYS_FILE = "api_keys.json"
LOCAL_KEY_FILE = "api_key"
MINIMUM_LENGTH = 16


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The stored form of a key. Logs show its `name`."""

    name: str
    sha256: str


class ApiKeys:
    """The accepted keys."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def name_of(self, key: str) -> str | None:
        """The name of a presented key, None if it is not accepted; takes the same time for every key."""
        presented = _hash(key)
        found = None
        for known in self._keys:
            if hmac.compare_digest(known.sha256, presented):
                found = known.name
        return found


def keys_from_text(text: str) -> list[ApiKey]:
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
    return [ApiKey(f"key-{_hash(key)[:8]}", _hash(key)) for key in keys]


def read_keys(home: Path) -> list[ApiKey]:
    """The keys of an installation, none if the file is missing.

    Raises:
        UserError: the file cannot be understood.
    """
    path = home / KEYS_FILE
    if not path.exists():
        return []
    try:
        return [ApiKey(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not a list of API keys: {error}") from error


def local_key(home: Path) -> str:
    """The key of the person at this machine; the first call makes it and adds it to the accepted ones."""
    path = home / LOCAL_KEY_FILE
    if path.exists():
        key = path.read_text(encoding="utf-8").strip()
        if ApiKeys(read_keys(home)).name_of(key) is not None:
            return key
    key = f"ps_{secrets.token_urlsafe(32)}"
    others = [known for known in read_keys(home) if known.name != "local"]
    kept = [asdict(known) for known in [*others, ApiKey("local", _hash(key))]]
    write_secret(home / KEYS_FILE, json.dumps(kept, indent=2) + "\n")
    write_secret(path, key + "\n")
    return key


def write_secret(path: Path, text: str) -> None:
    """Replace a file that others can never read, not even while it is being written."""
    with replacing(path, mode=0o600) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
