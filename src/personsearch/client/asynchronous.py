"""The client for programs with asyncio."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Self, TypeVar, Unpack

import httpx

from personsearch.addresses import is_on_this_machine
from personsearch.client import calls
from personsearch.client.calls import Call, Picture, SearchOptions, WatchChanges, WatchOptions
from personsearch.client.events import EventStream
from personsearch.client.events import timeout as streaming_timeout
from personsearch.client.models import (
    Alert,
    AlertEvent,
    AlertFigures,
    Alerts,
    Camera,
    Candidate,
    Embedded,
    Found,
    HeatMaps,
    Readiness,
    RecordedVerdict,
    ReportedCandidate,
    Status,
    Track,
    Verdict,
    WatchedSearch,
)
from personsearch.client.retries import Outcome, Retries

T = TypeVar("T")
SECONDS = 30.0


class AsyncClient:
    """`Client` for asyncio: the same methods, awaited."""

    def __init__(
        self,
        address: str,
        *,
        key: str = "",
        timeout: float = SECONDS,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.address = address.rstrip("/")
        self._retries = retries or Retries()
        self._streaming = streaming_timeout(timeout)
        self._http = httpx.AsyncClient(
            base_url=self.address,
            headers=calls.headers(key),
            timeout=timeout,
            transport=transport,
            trust_env=not is_on_this_machine(address),  # a proxy would not find this machine
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def search(self, text: str = "", *, cursor: str = "", **options: Unpack[SearchOptions]) -> Found:
        """One page of candidates for a description, an image or a crop; `cursor` is `next` of the page before."""
        return await self._ask(calls.search(text, options, cursor))

    async def pages(self, text: str = "", **options: Unpack[SearchOptions]) -> AsyncIterator[Found]:
        """Pages of `k` candidates, each a recorded search of its own, until nothing is left or the caller stops."""
        cursor: str | None = ""
        while cursor is not None:
            found = await self.search(text, cursor=cursor, **options)
            yield found
            cursor = found.next

    async def candidates(
        self, text: str = "", *, most: int, **options: Unpack[SearchOptions]
    ) -> AsyncIterator[Candidate]:
        """The `most` best candidates, page by page."""
        left = most
        async for page in self.pages(text, **options):
            for candidate in page.candidates[:left]:
                yield candidate
            left -= len(page.candidates)
            if left <= 0:
                return

    async def embed(self, texts: Sequence[str] = (), *, images: Sequence[Picture] = (), purpose: str = "") -> Embedded:
        """Vectors of descriptions and of pictures, each a file or its bytes."""
        return await self._ask(calls.embed(texts, images, purpose))

    async def heat_maps(self, crop_id: str, text: str, *, purpose: str = "") -> HeatMaps:
        """Where the model sees in a crop what a description says, phrase by phrase."""
        return await self._ask(calls.heat_maps(crop_id, text, purpose))

    async def judge(self, search_request_id: str, crop_id: str, verdict: Verdict, *, note: str = "") -> RecordedVerdict:
        """Say whether a candidate that a search has shown is right."""
        return await self._ask(calls.judge(search_request_id, crop_id, verdict, note))

    async def cameras(self) -> list[Camera]:
        """The cameras to which a search can be restricted."""
        return await self._ask(calls.cameras())

    async def track(self, camera_id: str, track_id: str, *, limit: int = 200) -> Track:
        """The first crops of a track, in order of time."""
        return await self._ask(calls.track(camera_id, track_id, limit))

    async def image(self, crop_id: str) -> bytes:
        """The picture of a crop, as JPEG."""
        return await self._ask(calls.image(crop_id))

    async def frame(self, crop_id: str) -> bytes:
        """The whole frame that a crop was cut from, as JPEG. ApiError 404 says why there is none, 410 that somebody was
        erased from its video.
        """
        return await self._ask(calls.frame(crop_id))

    async def clip(self, crop_id: str, *, seconds: float = 4.0) -> bytes:
        """So many seconds before and after a crop, as WebM; refused as `frame` is."""
        return await self._ask(calls.clip(crop_id, seconds))

    async def watch(self, name: str, *, threshold: float, **options: Unpack[WatchOptions]) -> WatchedSearch:
        """Watch for somebody, by `text` or `search_request_id`: crops that arrive raise alerts from `threshold` on."""
        return await self._ask(calls.watch(name, threshold, options))

    async def watched_searches(self) -> list[WatchedSearch]:
        """The searches that this key watches, oldest first."""
        return await self._ask(calls.watched())

    async def change_watch(self, watch_id: str, **changes: Unpack[WatchChanges]) -> WatchedSearch:
        """Change a watched search, or switch it on or off by `enabled`."""
        return await self._ask(calls.change_watch(watch_id, changes))

    async def stop_watch(self, watch_id: str) -> None:
        """Delete a watched search with its alerts."""
        await self._ask(calls.stop_watch(watch_id))

    async def alerts_page(self, *, watch_id: str = "", limit: int = 50, cursor: str = "") -> Alerts:
        """One page of alerts, the latest first; `cursor` is `next` of the page before."""
        return await self._ask(calls.alerts(watch_id, limit, cursor))

    async def alerts(self, *, watch_id: str = "", page: int = 50) -> AsyncIterator[Alert]:
        """Every alert, the latest first, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            found = await self.alerts_page(watch_id=watch_id, limit=page, cursor=cursor)
            for alert in found.alerts:
                yield alert
            cursor = found.next

    async def alert_events(self, *, last_event_id: str = "") -> AsyncIterator[AlertEvent]:
        """Alerts as they are released, until the caller stops; one whose track gets a better crop comes again.

        It begins now, or behind an event of an earlier stream. A connection that breaks is made again, and continues
        where it was, for as long as the service may come back.
        """
        stream = EventStream(last_event_id, self._retries, self.address)
        while True:
            outcome: Outcome | None = None
            try:
                async with self._http.stream(
                    "GET", calls.alert_events().path, headers=stream.headers, timeout=self._streaming
                ) as response:
                    if response.is_success:
                        async for text in response.aiter_text():
                            for event in stream.take(text):
                                yield event
                    else:
                        await response.aread()
                        outcome = response
            except httpx.TransportError as error:
                outcome = error
            await asyncio.sleep(stream.wait(outcome))

    async def alert_figures(self) -> AlertFigures:
        """How precise and complete alerts were at each threshold, where that was measured."""
        return await self._ask(calls.alert_figures())

    async def ready(self) -> Readiness:
        """Whether searches are answered, and by which collection."""
        return await self._ask(calls.ready())

    async def status(self) -> Status:
        """What is live, how far builds are, what became of promotions, and when each camera sent its last crop."""
        return await self._ask(calls.status())

    async def report(self, purpose: str, candidates: Sequence[ReportedCandidate], *, note: str = "") -> bytes:
        """Candidates that searches have shown as a ZIP file, with pictures, queries, models, verdicts and hashes."""
        return await self._ask(calls.report(purpose, candidates, note))

    async def _ask(self, call: Call[T]) -> T:
        for again in count():
            outcome = await self._try(call)
            wait = None if calls.stands(call, outcome) else self._retries.wait(again, outcome)
            if wait is None:
                break
            await asyncio.sleep(wait)
        return calls.concluded(call, outcome, self.address)

    async def _try(self, call: Call[T]) -> Outcome:
        try:
            return await self._http.request(call.method, call.path, json=call.body, params=call.parameters)
        except httpx.TransportError as error:
            return error
