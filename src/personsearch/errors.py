"""The one error that means "the user can mend this": a readable line and exit code 2."""


class UserError(Exception):
    """A mistake in what the user gave, told in one line: the thing, its value, what was wanted."""
