"""`personsearch doctor` finds what is wrong, changes nothing, and prints no secret."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from personsearch.bundle import GOLDEN, Bundle
from personsearch.cli import doctor, registry
from personsearch.files import hash_file
from personsearch.gallery.add_dataset import add_dataset
from personsearch.installation.doctor import machine
from personsearch.installation.doctor.patient import Finding, Patient
from personsearch.installation.platforms import open_gallery, open_registry, open_store
from personsearch.installation.settings import Settings
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from serving.settings import ServingSettings
from tests.audit import run as execute
from tests.crops import make_crop
from tests.onnx_bundle import make_onnx_bundle
from tests.servers.search_service import search_service
from tests.servers.starting import free_port
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection, figure

app = typer.Typer()
registry.register(app)
doctor.register(app)
SECRET = "a-very-secret-word"


def command(*arguments: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def examined(code: int = 1) -> dict[str, dict[str, Any]]:
    """The findings by their check, the worst of each; the exit code is as expected."""
    found, output = command("doctor", "--json")
    told = json.loads(output)
    assert found == code, output
    assert told["well"] is (code == 0)
    order = ["well", "note", "skipped", "wrong"]
    return {each["check"]: each for each in sorted(told["findings"], key=lambda each: order.index(each["state"]))}


@pytest.fixture
def installation(tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation in which a model is live; no service of it runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "var"))
    (tmp_path / "var").mkdir(mode=0o700)
    settings = Settings()
    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    add_dataset(tiny_dataset, gallery_in(settings.gallery_folder), split="test", start=start)
    command("register", str(make_onnx_bundle(tmp_path / "bundle")), "--json")
    assert command("promote", "1", "--json")[0] == 0
    return settings


def held(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file of a folder and its content, without those in which SQLite keeps a read's bookkeeping."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(("-shm", "-wal", ".lock", "LOCK")):
            yield str(path.relative_to(folder)), hash_file(path)


def test_an_installation_that_is_well_is_left_as_it_is(installation: Settings) -> None:
    before = dict(held(installation.home))
    findings = examined(0)
    assert dict(held(installation.home)) == before
    assert {name for name, each in findings.items() if each["state"] == "well"} >= {
        "settings", "versions", "permissions", "database", "pictures", "audit", "milvus", "mlflow", "model", "vectors",
        "clock",
    }  # fmt: skip
    assert "24 vectors of 24 crops" in findings["milvus"]["found"]
    assert Bundle.open(Path("bundle")).fingerprint in findings["model"]["found"]
    assert findings["search"]["state"] == "note"


def test_a_folder_without_an_installation_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "nowhere"))
    findings = examined()
    assert findings["permissions"]["found"].endswith("nowhere: no such folder")
    assert findings["database"]["advice"].startswith("fill it: `personsearch ingest")
    assert (findings["vectors"]["state"], findings["audit"]["state"]) == ("wrong", "skipped")
    assert list(tmp_path.iterdir()) == []


def test_other_vectors_than_the_model_s_are_found(installation: Settings) -> None:
    store, gallery = open_store(installation), open_gallery(installation)
    crops = list(gallery.crops())
    vectors_ND = np.zeros((len(crops), 8), dtype=np.float32)
    vectors_ND[:, 0] = 1.0
    store.open("persons").upsert(crops, vectors_ND)
    store.close()
    findings = examined()
    assert findings["vectors"]["state"] == "wrong"
    assert findings["vectors"]["advice"] == "build it again: `personsearch index --rebuild`"
    assert findings["model"]["state"] == "well"


def test_a_model_that_computes_something_else_is_found(installation: Settings) -> None:
    [golden] = (installation.home / "models").rglob(GOLDEN)
    content = json.loads(golden.read_text())
    content["text_embeddings"][0] = [1.0, *[0.0] * 7]
    golden.write_text(json.dumps(content))
    finding = examined()["model"]
    assert (finding["state"], "does not reproduce its golden embeddings" in finding["found"]) == ("wrong", True)
    assert "rollback" in finding["advice"]


def test_a_model_that_nobody_fetched_yet_is_not_kept(installation: Settings) -> None:
    import shutil

    shutil.rmtree(installation.home / "models")
    assert examined(0)["model"]["state"] == "well"
    assert not (installation.home / "models").exists()


def test_a_lost_picture_is_named(installation: Settings) -> None:
    gallery = open_gallery(installation)
    crop = next(gallery.crops())
    (installation.gallery_folder / crop.image_uri).unlink()
    finding = examined()["pictures"]
    assert (finding["state"], crop.crop_id in finding["found"]) == ("wrong", True)


def test_a_database_of_an_older_version_is_not_migrated(installation: Settings) -> None:
    execute(installation.database_address, "UPDATE personsearch_version SET version_num = 'keys'")
    findings = examined()
    assert (findings["database"]["state"], findings["database"]["advice"]) == ("wrong", "run `personsearch migrate`")
    assert findings["pictures"]["state"] == "skipped"
    with Database(installation.database_address).reading() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM personsearch_version").scalar_one() == "keys"


def test_crops_behind_and_a_champion_that_is_not_live_are_notes(installation: Settings, tmp_path: Path) -> None:
    open_gallery(installation).add([(make_crop("late", ingested_at=datetime.now(UTC)), figure("red"))])
    command("register", str(make_onnx_bundle(tmp_path / "other", seed=3)), "--json")
    open_registry(installation).promote("2")
    findings = examined(0)
    assert findings["milvus"]["state"] == findings["mlflow"]["state"] == "note"
    assert "version 2 is champion, but version 1 is live" in findings["mlflow"]["found"]


def test_no_secret_is_printed(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    for name, value in {
        "DATABASE": f"postgresql://ada:{SECRET}@127.0.0.1:{port}/x",
        "MLFLOW_URI": f"http://ada:{SECRET}@127.0.0.1:{port}",
        "MILVUS_URI": f"http://ada:{SECRET}@127.0.0.1:{port}",
        "MILVUS_TOKEN": SECRET,
        "API_KEYS": SECRET,
    }.items():
        monkeypatch.setenv(f"PERSONSEARCH_{name}", value)
    code, output = command("doctor")
    assert code == 1
    assert SECRET not in output
    assert output.count("WRONG") >= 3


def test_a_variable_that_nothing_reads_is_named(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_MILVUS_URL", SECRET)
    finding = examined()["settings"]
    assert finding["found"] == "PERSONSEARCH_MILVUS_URL is set, but no setting has this name"
    assert "PERSONSEARCH_MILVUS_URI" in finding["advice"]


def test_a_check_that_fails_itself_is_not_well(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("shutil.disk_usage", fail)
    assert examined()["disk"]["found"] == "the check failed: RuntimeError: unforeseen"


@pytest.mark.parametrize(("free", "state"), [(0.5, "wrong"), (3.0, "note"), (50.0, "well")])
def test_a_full_disk_is_found(free: float, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    usage = SimpleNamespace(total=100 * 2**30, free=int(free * 2**30))
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    patient = Patient(Settings(home=tmp_path), (), None, tmp_path)
    assert {finding.state for finding in machine.check_disk(patient)} == {state}


def of_search(settings: Settings, address: str) -> Finding:
    [finding] = machine.check_search(Patient(settings, (), address, settings.home))
    return finding


def test_the_search_service_is_asked(tmp_path: Path) -> None:
    settings = ServingSettings(home=tmp_path / "home", allow_anonymous=True, watch_seconds=0.2)
    store, gallery = ExactStore(), add_figures(settings.gallery_folder, COLOURS)
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    source = ColourSource(store, gallery)
    with search_service(settings, source) as address:
        assert of_search(settings, address) == Finding("search", "well", f"{address}: ready, persons_v1_1")
        source.down = True
        while of_search(settings, address).state == "well":
            pass
        assert "Milvus is out of reach" in of_search(settings, address).found


def test_clocks_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path)
    patient = Patient(settings, (), "http://127.0.0.1:1", tmp_path)
    for offset, state in ((0.0, "well"), (600.0, "wrong")):
        told = datetime.now(UTC) + timedelta(seconds=offset)
        monkeypatch.setattr(machine, "_date_of", lambda _, told=told: told)
        assert [finding.state for finding in machine.check_clock(patient)] == [state]


def test_what_everybody_can_open_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    (home / "api_key").write_text(SECRET)
    (home / "api_key").chmod(0o644)
    [finding] = machine.check_permissions(Patient(Settings(home=home), (), None, tmp_path))
    assert (finding.state, finding.advice) == ("wrong", f"`chmod -R o= {home}`, as the user who owns it")
    home.chmod(0o700)
    [finding] = machine.check_permissions(Patient(Settings(home=home), (), None, tmp_path))
    assert finding.state == "well"


def test_an_erased_gallery_is_told(installation: Settings) -> None:
    open_gallery(installation).erase(CropFilter(after=datetime(2000, 1, 1, tzinfo=UTC)))
    assert examined()["database"]["found"].endswith("0 crops")
