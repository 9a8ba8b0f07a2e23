"""A backup of an installation on PostgreSQL, S3, Milvus and MLflow comes back there and on one machine, and works."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
from mlflow import MlflowClient
from typer.testing import CliRunner

from personsearch.cli import audit, backup, doctor, platform, registry
from personsearch.errors import UserError
from personsearch.gallery.add_dataset import add_dataset
from personsearch.gallery.collections import numbered
from personsearch.installation.platforms import open_gallery, open_registry, open_store
from personsearch.installation.settings import Settings
from personsearch.integrations.mlflow.connection import EXPERIMENT
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS
from tests.onnx_bundle import make_onnx_bundle
from tests.servers.s3 import S3Server

app = typer.Typer()
for group in (audit, backup, doctor, platform, registry):
    group.register(app)

pytestmark = pytest.mark.timeout(900)  # MLflow makes its tables several times

ADDRESSES = ("database", "crops", "milvus_uri", "mlflow_uri", "mlflow_database", "mlflow_artifacts", "audit_anchor")


def command(*arguments: str, code: int = 0) -> str:
    """What a command prints; progress goes elsewhere."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


@dataclass(frozen=True)
class Machine:
    """Where this test keeps things; `settle` lets commands work with an installation."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def settle(self, name: str, **addresses: str) -> Settings:
        self.monkeypatch.setenv("PERSONSEARCH_HOME", str(self.folder / name))
        (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        for field in ADDRESSES:
            self.monkeypatch.delenv(f"PERSONSEARCH_{field.upper()}", raising=False)
        for field, address in addresses.items():
            self.monkeypatch.setenv(f"PERSONSEARCH_{field.upper()}", address)
        return Settings()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.chdir(tmp_path)
    return Machine(tmp_path, monkeypatch)


@pytest.fixture
def engines(
    new_postgresql: Callable[[], str], s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, str]]:
    """Addresses of empty engines beside a Milvus."""
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", s3.endpoint)

    def new(milvus: str) -> dict[str, str]:
        of_mlflow = new_postgresql()
        return {
            "database": new_postgresql(),
            "crops": s3.new_place(),
            "milvus_uri": milvus,
            "mlflow_uri": sa.make_url(of_mlflow).set(drivername="postgresql+psycopg").render_as_string(False),
            "mlflow_database": of_mlflow,
            "mlflow_artifacts": s3.new_place(),
            "audit_anchor": s3.new_place(),
        }

    return new


def fill(settings: Settings, dataset: Path, folder: Path) -> None:
    """Put people into it, register a model and make it live; one of the people is erased."""
    if settings.mlflow_artifacts:
        MlflowClient(settings.mlflow_address).create_experiment(EXPERIMENT, artifact_location=settings.mlflow_artifacts)
    command("migrate", "--json")
    gallery = open_gallery(settings)
    add_dataset(dataset, gallery, split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC))
    gallery.erase(CropFilter(crop_ids=(next(iter(gallery.crops())).crop_id,)))
    command("register", str(make_onnx_bundle(folder / "bundle")), "--json")
    command("promote", "1", "--json")


def empty(settings: Settings) -> None:
    """Drop every collection, as when a Milvus is lost."""
    store = open_store(settings)
    for _, name in list(numbered(store)):
        for alias in store._aliases(name):
            store._client.drop_alias(alias)
        store.drop(name)
    store.close()


def answers(settings: Settings) -> list[list[tuple[str, float]]]:
    """What the live collection finds for the vectors of two of its crops."""
    store = open_store(settings)
    index = store.open(LIVE_ALIAS)
    _, vectors_ND = index.fetch(list(index.crop_ids())[::11])
    found = index.search(vectors_ND, 10)
    store.close()
    return [[(hit.crop.crop_id, hit.score) for hit in hits] for hits in found]


def check_all_is_well(settings: Settings) -> None:
    told = json.loads(command("doctor", "--json"))
    assert [each for each in told["findings"] if each["state"] in ("wrong", "skipped")] == []
    assert json.loads(command("audit", "verify", "--json"))["intact"]
    assert open_registry(settings).champion() == "1"


def test_one_machine(machine: Machine, tiny_dataset: Path, tmp_path: Path) -> None:
    first = machine.settle("home")
    fill(first, tiny_dataset, tmp_path)
    before = answers(first)
    made = json.loads(command("backup", "create", "backups", "--json"))
    assert made["holds"].endswith("of mlflow")
    assert json.loads(command("backup", "verify", "backups", "--json"))["damaged"] == []
    second = machine.settle("restored")
    restored = json.loads(command("backup", "restore", "backups", "--json"))
    assert (restored["backup"], restored["rows"]["crops"], restored["vectors"]) == (made["backup"], 23, 23)
    assert answers(second) == before
    (tmp_path / "home").rename(tmp_path / "lost")  # files of MLflow are found where they were restored
    check_all_is_well(second)
    (shown,) = json.loads(command("backup", "list", "backups", "--json"))["backups"]
    assert shown == made


@pytest.mark.parametrize("milvus", ["lite_server", pytest.param("milvus_server", marks=pytest.mark.slow)])
def test_engines(
    milvus: str,
    machine: Machine,
    engines: Callable[[str], dict[str, str]],
    tiny_dataset: Path,
    request: pytest.FixtureRequest,
) -> None:
    uri: str = request.getfixturevalue(milvus)
    s3: S3Server = request.getfixturevalue("s3")
    first = machine.settle("home", **engines(uri))
    empty(first)
    fill(first, tiny_dataset, machine.folder)
    before, place = answers(first), s3.new_place()
    command("backup", "create", place, "--json")
    empty(first)
    second = machine.settle("restored", **engines(uri))
    command("migrate", "--json")  # as the manifests do when they are applied
    restored = json.loads(command("backup", "restore", place, "--json"))
    assert (restored["rows"]["crops"], restored["pictures"], restored["vectors"]) == (23, 23, 23)
    assert answers(second) == before
    check_all_is_well(second)
    MlflowClient(second.mlflow_address).create_experiment("numbered behind those that were restored")
    here = machine.settle("on one machine")
    command("backup", "restore", place, "--json")
    assert answers(here) == before
    check_all_is_well(here)
    empty(second)


def test_an_mlflow_that_is_used_is_refused(machine: Machine, tiny_dataset: Path, tmp_path: Path) -> None:
    first = machine.settle("home")
    fill(first, tiny_dataset, tmp_path)
    command("backup", "create", "backups", "--what", "mlflow", "--json")
    second = machine.settle("other")
    command("register", str(make_onnx_bundle(tmp_path / "other-bundle")), "--json")
    with pytest.raises(UserError, match=r"which is not in the backup; an empty place expected"):
        command("backup", "restore", "backups", "--json")
    machine.monkeypatch.setenv("PERSONSEARCH_MLFLOW_ARTIFACTS", str(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"MLflow has runs or models there; a new database expected"):
        command("backup", "restore", "backups", "--json")
    assert open_registry(second).champion() is None
    machine.settle("far", mlflow_uri="http://mlflow.example.org:5000")
    with pytest.raises(UserError, match="name both in PERSONSEARCH_MLFLOW_DATABASE and PERSONSEARCH_MLFLOW_ARTIFACTS"):
        command("backup", "create", "backups of the far one", "--what", "mlflow")
