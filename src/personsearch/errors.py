"""The error for mistakes that the user can fix: one readable line and exit code 2."""

from personsearch.addresses import hide_credentials

LONGEST_QUOTE = 300


class UserError(Exception):
    """A mistake in what the user gave, in one line: the thing, its value and what was expected.

    The line may name an address; a password in it is hidden, because the line ends up in logs, tags and on screens.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(hide_credentials(message))


class VerificationFailed(UserError):
    """A model or a collection that must not go live; the message is the reason."""


def shortened(text: str, longest: int = LONGEST_QUOTE) -> str:
    """A long value or another program's prose, cut for a message, with its length.

    Never for what a person copies: a path, a name, a hash, an address or a command.
    """
    line = " ".join(text.splitlines())
    return line if len(line) <= longest else f"{line[:longest]}… ({len(line)} characters)"
