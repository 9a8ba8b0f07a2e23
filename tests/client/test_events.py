"""The stream of alerts as both clients read it, against a running service and against one that breaks."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, closing
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from personsearch.client import AlertEvent, ApiError, AsyncClient, Client, Retries, Unreachable
from serving.settings import ServingSettings
from tests.client.conftest import KEY
from tests.servers.search_service import search_service
from tests.serving.test_alerts import Installation

QUICKLY = Retries(most=2, first_wait=0.001, longest_wait=0.002)


def read(client: Client, most: int, after: str) -> list[AlertEvent]:
    with client, closing(client.alert_events(last_event_id=after)) as events:
        return list(islice(events, most))


def read_async(client: AsyncClient, most: int, after: str) -> list[AlertEvent]:
    async def collect() -> list[AlertEvent]:
        told: list[AlertEvent] = []
        async with client, aclosing(client.alert_events(last_event_id=after)) as events:
            async for event in events:
                told.append(event)
                if len(told) == most:
                    return told
        raise AssertionError("the stream has ended")

    return asyncio.run(collect())


KINDS = pytest.mark.parametrize(("kind", "reads"), [(Client, read), (AsyncClient, read_async)])
Reads = Callable[[Any, int, str], list[AlertEvent]]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(ServingSettings(home=tmp_path, api_keys=KEY, watch_seconds=0.05, alerts=True))
    yield made
    made.service.alerts.stop()


def in_a_thread(reads: Reads, client: Any, most: int, after: str) -> Future[list[AlertEvent]]:
    """A browser's tests leave an event loop in the tests' own."""
    return ThreadPoolExecutor(1).submit(reads, client, most, after)


@KINDS
def test_alerts_arrive_once_each_although_the_stream_ends_again_and_again(
    kind: Any, reads: Reads, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.routes.alerts.STREAM_SECONDS", 0.5)
    monkeypatch.setattr("serving.routes.alerts.LOOK_SECONDS", 0.05)
    with search_service(installation.settings, installation.source) as address:
        with Client(address, key=KEY) as owner:
            owner.watch("red", text="red", threshold=0.9)
        told = in_a_thread(reads, kind(address, key=KEY), 4, "0")
        for first in range(10, 14):
            installation.pass_by("red", "blue", first=first)
            threading.Event().wait(1.0)  # so that the stream ends between some of them
        events = told.result(timeout=300)
    assert [event.alert.crop_id for event in events] == [f"red-{number}-0" for number in range(10, 14)]
    numbers = [int(event.event_id) for event in events]
    assert numbers == sorted(set(numbers))


class Breaking:
    """A service whose streams break; `asked` is the event that each connection continued behind."""

    def __init__(self, *answers: "httpx.Response | Exception") -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.headers.get("Last-Event-ID", ""))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def asynchronously(self, request: httpx.Request) -> httpx.Response:
        return self(request)

    def client(self, kind: Any) -> Any:
        handler = self if kind is Client else self.asynchronously
        return kind("http://service.example", key=KEY, retries=QUICKLY, transport=httpx.MockTransport(handler))


def alert(number: int) -> str:
    moment = '"2026-03-01T09:00:00Z"'
    return (
        f'id: {number}\nevent: alert\ndata: {{"crop_id":"crop-{number}","camera_id":"c","captured_at":{moment},'
        '"track_id":"t","bbox":{"x":0,"y":0,"width":1,"height":1},"image_url":"","alert_id":"a","watch_id":"w",'
        f'"name":"two\u2028lines","confidence":0.9,"score":0.5,"threshold":0.7,"raised_at":{moment},'
        '"released_at":null,"delivery":"none","attempts":0,"failure":""}\n\n'
    )


def stream(*pieces: str) -> httpx.Response:
    return httpx.Response(200, content="".join(pieces).encode(), headers={"Content-Type": "text/event-stream"})


@KINDS
def test_a_stream_continues_behind_the_last_event_that_came_whole(kind: Any, reads: Reads) -> None:
    service = Breaking(
        httpx.ConnectError("refused"),
        stream("retry: 1\nid: 7\n\n"),
        stream(":\n\n", alert(8), alert(9)[:-40]),
        *[httpx.Response(503) for _ in range(5)],  # more than a first connection would try
        httpx.ReadTimeout("slow"),
        stream(alert(9)),
    )
    told = in_a_thread(reads, service.client(kind), 2, "").result(timeout=120)
    assert [(event.event_id, event.alert.crop_id) for event in told] == [("8", "crop-8"), ("9", "crop-9")]
    assert told[0].alert.name == "two\u2028lines"
    assert service.asked == ["", "", "7", *["8"] * 7]


@KINDS
def test_who_is_refused_does_not_ask_again(kind: Any, reads: Reads) -> None:
    service = Breaking(stream("retry: 1\nid: 7\n\n"), httpx.Response(401))
    with pytest.raises(ApiError, match="401"):
        in_a_thread(reads, service.client(kind), 1, "").result(timeout=120)
    assert service.asked == ["", "7"]


@KINDS
def test_a_service_that_never_answers_is_said(kind: Any, reads: Reads) -> None:
    service = Breaking(*[httpx.ConnectError("refused") for _ in range(3)])
    with pytest.raises(Unreachable, match="refused"):
        in_a_thread(reads, service.client(kind), 1, "").result(timeout=120)
    service = Breaking(*[stream() for _ in range(3)])
    with pytest.raises(Unreachable, match="ended before it began"):
        in_a_thread(reads, service.client(kind), 1, "").result(timeout=120)


def test_something_else_than_an_alert_is_refused() -> None:
    service = Breaking(stream("id: 1\nevent: alert\ndata: {}\n\n"))
    with pytest.raises(ApiError, match="not an alert of this service"):
        read(service.client(Client), 1, "")
