"""Spans: what took how long while one request was answered. Without a tracer nothing is recorded, and it costs nothing.

A span tells of the installation: the engine, the kind of work, numbers. Never a query, what names a person, a crop or
whoever asks, or a key: traces are read by others than those who may search.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Attributes = Mapping[str, str | int | float | bool]
NONE: Attributes = {}


class Span(Protocol):
    """One that is being recorded."""

    def rename(self, name: str) -> None: ...

    def tell(self, attributes: Attributes) -> None: ...


class Tracer(Protocol):
    """Records spans, each below the one that is open in the same context."""

    def span(
        self, name: str, attributes: Attributes, headers: Mapping[str, str] | None
    ) -> AbstractContextManager[Span]: ...

    def is_open(self) -> bool:
        """Whether a span is open in this context."""
        ...


class _Nothing:
    """A span that nobody records."""

    def rename(self, name: str) -> None:
        """Record nothing."""

    def tell(self, attributes: Attributes) -> None:
        """Record nothing."""


NOTHING: Span = _Nothing()
_tracer: Tracer | None = None
_NOWHERE = nullcontext(NOTHING)


def use(tracer: Tracer | None) -> None:
    """Record the spans of this process with a tracer, or no longer."""
    global _tracer  # noqa: PLW0603 (a process has one, as it has one log)
    _tracer = tracer


def span(
    name: str, attributes: Attributes = NONE, *, headers: Mapping[str, str] | None = None
) -> AbstractContextManager[Span]:
    """A span, below the open one, or below that of the caller whose request had these headers."""
    return _NOWHERE if _tracer is None else _tracer.span(name, attributes, headers)


def step(name: str, attributes: Attributes = NONE) -> AbstractContextManager[Span]:
    """A span of a part of something; outside any other span it is not worth recording."""
    return _NOWHERE if _tracer is None or not _tracer.is_open() else _tracer.span(name, attributes, None)
