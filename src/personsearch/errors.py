"""The error for mistakes that the user can fix: one readable line and exit code 2."""


class UserError(Exception):
    """A mistake in what the user gave, in one line: the thing, its value and what was expected."""


class VerificationFailed(UserError):
    """A model or a collection that must not go live; the message is the reason."""
