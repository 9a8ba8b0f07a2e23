"""Somebody is watched for by the clients and by the command line, against a running service."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from personsearch.cli import main
from personsearch.cli.alerts import _alert_row
from personsearch.client import Alert, ApiError, Box, Client, Unreachable
from personsearch.client.models import QuietHours
from personsearch.gallery.cameras import CameraDetails
from personsearch.installation.platforms import open_cameras
from serving.settings import ServingSettings
from tests.client.conftest import KEY
from tests.client.test_client import Awaited


@pytest.fixture(params=[Client, Awaited])
def client(request: pytest.FixtureRequest, address: str) -> Any:
    return request.param(address, key=KEY)


def test_a_search_is_watched_changed_and_stopped(client: Any) -> None:
    hours = {"start": "22:00", "end": "06:00", "time_zone": "Europe/Vienna"}
    made = client.watch("red", threshold=0.8, text="a red coat", cameras=["junction"], quiet_hours=hours)
    assert (made.name, made.cameras, made.enabled) == ("red", ["junction"], True)
    assert isinstance(made.quiet_hours, QuietHours)
    changed = client.change_watch(made.watch_id, enabled=False, quiet_hours=None)
    assert (changed.enabled, changed.quiet_hours) == (False, None)
    assert [each.watch_id for each in client.watched_searches()] == [made.watch_id]
    assert list(client.alerts(page=1)) == []
    client.stop_watch(made.watch_id)
    assert client.watched_searches() == []
    with pytest.raises(ApiError, match="You watch no search"):
        client.stop_watch(made.watch_id)


def test_what_may_have_arrived_is_not_sent_again() -> None:
    """Nobody would know whether the search is watched twice."""
    sent: list[httpx.Request] = []

    def lose(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raise httpx.ReadError("the connection was lost")

    with Client("http://127.0.0.1:1", transport=httpx.MockTransport(lose)) as client:
        with pytest.raises(Unreachable):
            client.watch("red", threshold=0.8, text="a red coat")
        assert len(sent) == 1


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["personsearch", "alerts", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_line_watches_lists_and_stops(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    address: str,
    settings: ServingSettings,
) -> None:
    monkeypatch.setenv("SEARCH_URI", address)
    monkeypatch.setenv("SEARCH_KEY", KEY)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(settings.home))
    assert run(monkeypatch, "list") == 0
    assert "You watch no search yet" in capsys.readouterr().out
    assert run(monkeypatch, "watch", "red", "a red coat", "--threshold", "0.7", "--camera", "junction", "--json") == 0
    watch_id = json.loads(capsys.readouterr().out)["watch_id"]
    assert run(monkeypatch, "list") == 0
    listed = capsys.readouterr().out
    assert watch_id in listed
    assert "a red coat" in listed
    assert run(monkeypatch, "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)["alerts"] == []
    assert run(monkeypatch, "watch", "red", "a red coat", "--threshold", "1") == 2
    assert "threshold" in capsys.readouterr().err
    assert run(monkeypatch, "stop", watch_id) == 0
    assert run(monkeypatch, "stop", watch_id) == 2
    assert "You watch no search" in capsys.readouterr().err


def test_the_command_line_watches_a_group_and_names_cameras(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    address: str,
    settings: ServingSettings,
) -> None:
    monkeypatch.setenv("SEARCH_URI", address)
    monkeypatch.setenv("SEARCH_KEY", KEY)
    open_cameras(settings).put([CameraDetails("junction", "Die Kreuzung", "outside")])
    watch = ["watch", "red", "a red coat", "--threshold", "0.7"]
    assert run(monkeypatch, *watch, "--camera-group", "nowhere") == 2
    assert "no group 'nowhere'" in capsys.readouterr().err
    assert run(monkeypatch, *watch, "--camera-group", "outside", "--json") == 0
    watch_id = json.loads(capsys.readouterr().out)["watch_id"]
    assert run(monkeypatch, "list") == 0
    assert "  Die Kreuzung (junction)  " in capsys.readouterr().out
    assert run(monkeypatch, "stop", watch_id) == 0
    open_cameras(settings).put([CameraDetails("junction")])


def test_the_row_of_an_alert_names_its_camera() -> None:
    now = datetime(2026, 3, 1, 9, tzinfo=UTC)
    alert = Alert(
        crop_id="c", camera_id="junction", captured_at=now, track_id="t", bbox=Box(x=0, y=0, width=1, height=1),
        image_url="", alert_id="a", watch_id="w", name="red", confidence=0.9, score=0.5, threshold=0.7, raised_at=now,
        released_at=now, delivery="none", attempts=0, failure="",
    )  # fmt: skip
    assert _alert_row(alert, {"junction": "Die Kreuzung"})[2] == "Die Kreuzung (junction)"
    assert _alert_row(alert, {"junction": "junction"})[2] == _alert_row(alert, {})[2] == "junction"
