"""An alias that moves in a real MLflow server reaches answers by its webhook alone: the promoter polls every hour."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from personsearch.addresses import direct_opener
from personsearch.bundle import Bundle
from personsearch.cli import main
from personsearch.errors import UserError
from personsearch.gallery.add_dataset import add_dataset
from personsearch.installation.platforms import open_gallery, open_registry
from personsearch.installation.services import Services, start_services, stop_services
from personsearch.installation.settings import Settings
from tests.onnx_bundle import make_onnx_bundle
from tests.servers.mlflow_server import mlflow_server

SECRET = "a-secret-of-this-test"
PATIENT_SECONDS = 280.0


@pytest.fixture
def sending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an MLflow server that sends webhooks to this machine."""
    allowed = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
    # MLflow remembers for a minute who gets an event: nobody, if an alias moved before our webhook was made.
    allowed["MLFLOW_WEBHOOK_CACHE_TTL"] = "1"
    key = {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode()}
    with mlflow_server(tmp_path / "mlflow", **allowed, **key) as address:
        yield address


@pytest.fixture
def services(sending: str, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """An installation with two versions and 24 crops, whose promoter polls once an hour."""
    home = tmp_path / "home"
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": str(home),
        "MLFLOW_URI": sending,
        "WEBHOOK_SECRET": SECRET,
        "POLL_SECONDS": "3600",
    }.items():
        monkeypatch.setenv(f"PERSONSEARCH_{name}", value)
    settings = Settings()
    add_dataset(tiny_dataset, open_gallery(settings), split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC))
    for seed in (1, 2):
        bundle = Bundle.open(make_onnx_bundle(tmp_path / f"bundle{seed}", seed=seed))
        open_registry(settings).register(bundle, metrics={}, tags={})
    yield start_services(home, ("milvus", "serving", "promoter"))
    stop_services(home)


def answer(address: str) -> str:
    with direct_opener().open(address, timeout=10) as answer:
        return str(answer.read().decode())


def live_version(services: Services) -> str | None:
    try:
        return str(json.loads(answer(f"{services.serving_uri}/readyz"))["model_version"])
    except OSError:  # 503 while nothing is live
        return None


def until(seen: Callable[[], bool]) -> float:
    """Wait; returns the seconds that it took."""
    start = time.monotonic()
    while not seen():
        assert time.monotonic() - start < PATIENT_SECONDS
        time.sleep(0.1)
    return time.monotonic() - start


@pytest.mark.timeout(900)  # a busy machine takes minutes to start encoders
def test_an_alias_that_moves_is_live_soon_without_polling(
    services: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = open_registry(Settings())
    monkeypatch.setattr("sys.argv", ["personsearch", "webhook", f"{services.serving_uri}/v1/webhooks/mlflow", "--json"])
    for _ in range(2):  # the second time it is there already
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code or 0, json.loads(capsys.readouterr().out)["answered"]) == (0, "204")
    assert len(registry._client.list_webhooks()) == 1
    for version in ("1", "2", "1"):  # the last collection is kept
        registry.promote(version)
        took = until(lambda version=version: live_version(services) == version)  # type: ignore[misc]
        print(f"alias to answers of version {version}: {took:.1f} s")
    assert 'personsearch_webhooks_total{outcome="passed_on"} 3.0' in answer(f"{services.serving_uri}/metrics")


def test_what_keeps_mlflow_from_sending_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match="only an MLflow server sends webhooks; the promoter polls a database"):
        open_registry(Settings()).subscribe("https://search.example.org", SECRET)
    with mlflow_server(tmp_path / "mlflow") as address:
        monkeypatch.setenv("PERSONSEARCH_MLFLOW_URI", address)
        with pytest.raises(UserError, match="PERSONSEARCH_WEBHOOK_SECRET: 16 characters or more expected"):
            open_registry(Settings()).subscribe("https://search.example.org", "short")
        with pytest.raises(UserError, match=r"Allowed schemes are: https; .*MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https"):
            open_registry(Settings()).subscribe("http://127.0.0.1:8080/v1/webhooks/mlflow", SECRET)
        with pytest.raises(
            UserError, match=r"hostname 'search.invalid'.*; give an address whose host MLflow's server can"
        ):
            open_registry(Settings()).subscribe("https://search.invalid/v1/webhooks/mlflow", SECRET)
