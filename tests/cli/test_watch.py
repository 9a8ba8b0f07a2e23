"""`personsearch watch` as a person or a supervisor runs it: started, killed, started again, stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from personsearch.addresses import direct_opener
from personsearch.cli import main
from personsearch.gallery.watch.health import read_health
from personsearch.integrations.database.gallery import gallery_in
from tests.servers.rtsp import require_rtsp, rtsp_server
from tests.servers.starting import free_port

PATIENT_SECONDS = 120.0
PASSWORD = "p@ss/hunter2"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GATE3", PASSWORD)
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "personsearch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENT_SECONDS)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "CAMERA and ADDRESS, or --streams FILE expected"),
        (("gate3",), "CAMERA and ADDRESS, or --streams FILE expected"),
        (("gate3", "rtsp://viewer:hunter2@10.0.0.7/a"), "holds a user or a password"),
        (("gate3", "rtsp://10.0.0.7/a", "--streams", "x.yaml"), "not both"),
        (("--streams", "absent.yaml"), "absent.yaml: cannot be read"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...], reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["personsearch", "watch", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert reason in line
    assert "hunter2" not in line


def test_the_help_teaches() -> None:
    shown = " ".join(run("watch", "--help").stdout.split())
    assert "personsearch watch gate3 rtsp://10.0.0.7/stream1 --user viewer --password-env GATE3_PASSWORD" in shown
    assert "streams.yaml" in shown


def test_status_and_metrics_tell_of_a_stream_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("PERSONSEARCH_METRICS", f"127.0.0.1:{port}")
    killed = start(tmp_path, "gate3", "rtsp://127.0.0.1:1/stream")
    wait_until(lambda: any(health.state == "lost" for health in read_health(tmp_path / "home" / "watch")), tmp_path)
    with direct_opener().open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert 'personsearch_stream_up{camera="gate3"} 0.0' in metrics
    assert 'personsearch_stream_frames_total{camera="gate3"} 0.0' in metrics
    assert 'personsearch_engine_failures_total{engine="database"} 0.0' in metrics
    second = run("watch", "gate4", "rtsp://127.0.0.1:1/stream")
    assert (second.returncode, "cannot listen there" in second.stderr) == (2, True)
    killed.kill()
    killed.wait()
    status = run("status", "--json")
    assert status.returncode == 1
    said = json.loads(status.stdout)
    assert said["streams"]["gate3"]["state"] == "lost"
    assert said["problems"][0].startswith("gate3: no frame yet (Connection refused")
    shown = run("status")
    assert "gate3" in shown.stdout
    assert "reconnects" in shown.stdout


def start(tmp_path: Path, *arguments: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "personsearch", "watch", *map(str, arguments), "--json"]
    with (tmp_path / "out").open("ab") as out, (tmp_path / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=out, stderr=log)


def wait_until(holds: Callable[[], bool], folder: Path) -> None:
    """Wait for what `watch`, started in the folder, brings about."""
    deadline = time.monotonic() + PATIENT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            said = [(folder / name).read_text() for name in ("log", "out")]
            pytest.fail(f"still {read_health(folder / 'home' / 'watch')}\n" + "\n".join(said))
        time.sleep(0.2)


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[Path]:
    """A file that names two cameras of a real server, which asks for a password."""
    pytest.importorskip("onnx")
    from tests.gallery.watch.film import BLUE, RED, colour_detector, film

    try:
        require_rtsp()
    except RuntimeError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    detector = colour_detector(tmp_path / "colour.onnx")
    params = {"ingest": {"detector": str(detector), "selection": {"least_height": 30}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    visits = [((RED, BLUE)[n % 2], 4.0 * n + 0.5, 4.0 * n + 1.9) for n in range(30)]
    video = film(tmp_path / "busy.mp4", visits, seconds=120)
    with rtsp_server(video, "--password", PASSWORD) as server:
        stream = {"address": server.address, "user": "viewer", "password_env": "GATE3"}
        path = tmp_path / "streams.yaml"
        path.write_text(yaml.safe_dump({"streams": {"gate3": stream, "north door": stream}}))
        yield path


def test_a_killed_watch_continues_without_storing_anybody_twice(streams: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path / "home" / "gallery")
    first = start(tmp_path, "--streams", streams)
    wait_until(lambda: len(gallery.cameras()) == 2, tmp_path)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = {crop.crop_id for crop in gallery.crops()}
    second = start(tmp_path, "--streams", streams)
    wait_until(
        lambda: all(summary.tracks >= 2 for summary in gallery.cameras()) and gallery.count() > len(before), tmp_path
    )
    assert run("status").returncode == 0
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENT_SECONDS) == 0
    assert before < {crop.crop_id for crop in gallery.crops()}
    result = json.loads((tmp_path / "out").read_text())
    assert (result["lost"], result["people"] > 0) == (0, True)
    for summary in gallery.cameras():
        crops = [crop for crop in gallery.crops() if crop.camera_id == summary.camera_id]
        assert len({crop.captured_at for crop in crops}) == len(crops)
    assert {health.state for health in read_health(tmp_path / "home" / "watch")} == {"stopped"}
    assert "hunter2" not in (tmp_path / "log").read_text() + (tmp_path / "out").read_text()
