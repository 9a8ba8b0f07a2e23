"""A site's verdicts change what the running service calls reliable, from the command to the next answer."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from personsearch.cli import main
from serving.app import create_app
from serving.settings import ServingSettings
from tests.audit import audited, is_intact
from tests.onnx_bundle import make_onnx_bundle
from tests.serving.conftest import KEY
from tests.serving.test_source import install

WORDS = ("red", "green", "blue", "white", "man", "woman", "coat")


@pytest.fixture
def service(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The service as it runs, over Milvus Lite and a bundle that was never calibrated; commands find its home."""
    installation = install(home, make_onnx_bundle(home / "bundle"))
    monkeypatch.setenv("PERSONSEARCH_HOME", str(installation.home))
    monkeypatch.setenv("PERSONSEARCH_MILVUS_URI", installation.milvus_address)
    app = create_app(installation.model_copy(update={"api_keys": ServingSettings(api_keys=KEY).api_keys}))
    app.state.service.live.look()
    with TestClient(app, headers={"X-API-Key": KEY}) as client:
        yield client


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["personsearch", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def ask(client: TestClient, text: str) -> dict[str, object]:
    return client.post("/v1/search", json={"text": text, "k": 2}).json()


def judge_everything(client: TestClient) -> None:
    """Confirm the first candidate of 21 searches and reject the second."""
    for first in WORDS:
        for second in WORDS[:3]:
            answer = ask(client, f"a {first} {second}")
            for candidate, verdict in zip(answer["candidates"], ("confirmed", "rejected"), strict=True):
                said = {"search_request_id": answer["request_id"], "crop_id": candidate["crop_id"], "verdict": verdict}
                assert client.post("/v1/verdicts", json=said).status_code == 201


def test_one_command_calibrates_a_site_and_one_flag_reverts(
    service: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = service.app.state.service
    assert command(monkeypatch, "calibrate") == 2
    assert "0 confirmed (15 needed)" in capsys.readouterr().err
    judge_everything(service)
    assert ask(service, "a red coat")["no_reliable_match"] is None

    assert command(monkeypatch, "calibrate", "--dry-run") == 0
    assert "right first answers called reliable" in capsys.readouterr().out
    state.live.look()
    assert ask(service, "a red coat")["no_reliable_match"] is None

    assert command(monkeypatch, "calibrate", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["searches"], told["confirmed"], told["rejected"]) == (21, 21, 21)
    state.live.look()  # as the service does every two seconds
    answer = ask(service, "a red coat")
    assert answer["no_reliable_match"] is False
    confidences = [candidate["confidence"] for candidate in answer["candidates"]]
    assert confidences[0] > confidences[1]
    assert command(monkeypatch, "search", "a red coat", "-k", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["candidates"][0]["confidence"] == pytest.approx(confidences[0], abs=2e-3)

    assert command(monkeypatch, "calibrate", "--revert") == 0
    state.live.look()
    assert ask(service, "a red coat")["no_reliable_match"] is None
    records = audited(state.settings)
    assert [record["change"] for record in records if record["event"] == "calibration"] == ["fitted", "reverted"]
    assert is_intact(state.settings)


def test_a_damaged_calibration_leaves_the_model_its_own(
    service: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    judge_everything(service)
    assert command(monkeypatch, "calibrate") == 0
    state = service.app.state.service
    next((state.settings.home / "calibrations").iterdir()).write_text("{")
    for _ in range(3):
        state.live.look()
    assert ask(service, "a red coat")["no_reliable_match"] is None
    assert [
        record.message.count("own calibration is used") for record in caplog.records if record.levelname == "ERROR"
    ] == [1]
