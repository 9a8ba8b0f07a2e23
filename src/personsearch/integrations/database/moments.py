"""Times as the tables keep them: milliseconds since 1970 in UTC."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 in UTC; a time without a zone is refused with ValueError."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()}: a time with a zone expected")
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(milliseconds: int) -> datetime:
    """The inverse of `to_milliseconds`, in UTC."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def ceiling_milliseconds(moment: datetime) -> int:
    """Rounded up. Stored times are whole milliseconds: t >= 1.5 ms means t >= 2, and t < 1.5 ms means t < 2."""
    return -((EPOCH - moment) // timedelta(milliseconds=1))
