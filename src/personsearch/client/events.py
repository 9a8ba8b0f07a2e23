"""The stream of alerts as a client reads it: what it asks for, what it was told, and when it connects again."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import httpx
from pydantic import ValidationError

from personsearch.client import calls
from personsearch.client.models import Alert, AlertEvent
from personsearch.client.retries import Outcome, Retries

SILENCE_SECONDS = 60.0  # the service says something every 15
WITHOUT_END = 10**9


class EventStream:
    """Server-sent events across connections. Whoever connects again with `headers` misses none."""

    def __init__(self, last_event_id: str, retries: Retries, address: str) -> None:
        self._last_id = last_event_id
        self._retries = retries
        self._address = address
        self._seconds = 2.0
        self._rest = ""
        self._is_open = False
        self._failed = 0

    @property
    def headers(self) -> dict[str, str]:
        """What the next connection says."""
        return {"Last-Event-ID": self._last_id} if self._last_id else {}

    def take(self, text: str) -> Iterator[AlertEvent]:
        """The events that are complete with this piece of the stream."""
        if not self._is_open:
            self._is_open, self._failed, self._rest = True, 0, ""
            self._retries = replace(self._retries, most=WITHOUT_END)
        *blocks, self._rest = (self._rest + text).split("\n\n")
        for block in blocks:
            yield from self._event(block)

    def wait(self, outcome: Outcome | None) -> float:
        """Seconds until the next connection, after one that has ended or failed.

        Raises:
            Unreachable: the first connection could not be made.
            ApiError: the service refuses, and would again.
        """
        if self._is_open:
            self._is_open = False
            return self._seconds
        outcome = outcome or httpx.RemoteProtocolError("the stream ended before it began")
        call = calls.alert_events()
        wait = None if calls.stands(call, outcome) else self._retries.wait(self._failed, outcome)
        self._failed = min(self._failed + 1, 30)  # the wait has long reached its limit
        if wait is None:
            calls.concluded(call, outcome, self._address)  # raises
        assert wait is not None
        return wait

    def _event(self, block: str) -> Iterator[AlertEvent]:
        """The alert of a block of lines; one may only name an id or a wait."""
        lines = (line.partition(":") for line in block.split("\n"))
        fields = {name: value.removeprefix(" ") for name, _, value in lines}
        with suppress(ValueError):
            self._seconds = int(fields.get("retry", "")) / 1000
        self._last_id = fields.get("id", self._last_id)
        if fields.get("event") == "alert":
            yield AlertEvent(event_id=self._last_id, alert=_alert(fields.get("data", "")))


def _alert(data: str) -> Alert:
    try:
        return Alert.model_validate_json(data)
    except ValidationError as error:
        raise calls.ApiError(200, f"not an alert of this service: {error.error_count()} fields are wrong") from error


def timeout(seconds: float) -> httpx.Timeout:
    """That of a connection which stays open."""
    return httpx.Timeout(seconds, read=max(seconds, SILENCE_SECONDS))
