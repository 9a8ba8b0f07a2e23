"""The error for mistakes that the user can fix: one readable line and exit code 2."""

import errno
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from personsearch.addresses import hide_credentials

LONGEST_QUOTE = 300
LONG_WORD = re.compile(r"[^\s/]{400,}")  # longer than the name of any file, and than a value that was shortened
SHOWN_OF_WORD = 60


class UserError(Exception):
    """A mistake in what the user gave, in one line: the thing, its value and what was expected.

    The line may name an address; a password in it is hidden, because the line ends up in logs, tags and on screens.
    A word that is longer than the name of any file is cut.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(without_long_words(hide_credentials(message)))


Engine = Literal["database", "pictures", "vectors", "registry"]
_failures: Counter[Engine] = Counter()


class EngineFailed(UserError):
    """One of the engines that keep state refused a call or cannot be reached. Each process counts them, for metrics."""

    def __init__(self, engine: Engine, message: str) -> None:
        super().__init__(message)
        self.engine = engine
        _failures[engine] += 1


def with_advice(reason: str, advice: Mapping[str, str]) -> str:
    """What an engine said, and what to do: engines say what happened, and not how to mend it.

    `advice` names words of the engine's in small letters; the first that it said counts.
    """
    said = reason.lower()
    known = next((text for words, text in advice.items() if words in said), None)
    return f"{reason.rstrip('.')}; {known}" if known else reason


def engine_failures() -> dict[Engine, int]:
    """How many calls of each engine have failed in this process."""
    return {engine: _failures[engine] for engine in get_args(Engine)}


class VerificationFailed(UserError):
    """A model or a collection that must not go live; the message is the reason."""


class LeaseLost(UserError):
    """Another process does now what this one did."""


FULL = (errno.ENOSPC, errno.EDQUOT)
# The system's own words name no file and say little: "File exists", "Not a directory".
WORDS = {
    errno.ENOENT: "no such file or folder",
    errno.EEXIST: "is a file; a folder expected",
    errno.EISDIR: "is a folder; a file expected",
    errno.ENOTDIR: "is, or lies below, a file; a folder expected",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOSPC: "the disk is full; free space on it",
    errno.EDQUOT: "this user's share of the disk is full; free space on it",
    errno.ENAMETOOLONG: "a name longer than its file system takes",
    errno.EROFS: "cannot be written; its file system is read-only",
    errno.ELOOP: "a link that leads back to itself",
}


def explain(error: OSError) -> str:
    """Why the system refused a file or folder, in words that follow its path in a message."""
    path = None if error.filename is None else Path(str(error.filename))
    if path is not None and (link := dangling_link(path)):
        return link
    return WORDS.get(error.errno or 0) or error.strerror or str(error)


def place_and_reason(error: OSError) -> str:
    """The file that the system refused, and why; a write to a full disk names none."""
    return f"{error.filename}: {explain(error)}" if error.filename is not None else explain(error)


def check_exists(path: Path, expected: str) -> None:
    """Refuse a path that a user gave and where nothing is; `expected` says what should be there.

    Raises:
        UserError: it does not exist, or is a link to what does not exist.
    """
    if not path.exists():
        raise UserError(f"{path}: {dangling_link(path) or WORDS[errno.ENOENT]}; {expected} expected")


def dangling_link(path: Path) -> str | None:
    """What to say of a link to what does not exist; None of anything else."""
    if not os.path.islink(path) or path.exists():  # noqa: PTH114 - Path.is_symlink raises where a name is too long
        return None
    return f"a link to {path.readlink()}, which does not exist"


def without_long_words(text: str) -> str:
    """The text with every word cut that is much longer than the name of a file can be."""
    return LONG_WORD.sub(lambda word: shortened(word[0], SHOWN_OF_WORD), text)


def shortened(text: str, longest: int = LONGEST_QUOTE) -> str:
    """A long value or another program's prose, cut for a message, with its length.

    Never for what a person copies: a path, a name, a hash, an address or a command.
    """
    line = " ".join(text.splitlines())
    return line if len(line) <= longest else f"{line[:longest]}… ({len(line)} characters)"
