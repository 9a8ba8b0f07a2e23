"""From a bundle to an answer by the commands a person types: register, promote, index, search, roll back."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from personsearch.bundle import GOLDEN, IMAGE_ONNX, METRICS, Bundle, write_spec
from personsearch.cli import registry, search
from personsearch.errors import UserError
from personsearch.gallery.add_dataset import add_dataset
from personsearch.gallery.store import Gallery
from personsearch.gallery.verification import VerificationFailed
from personsearch.installation.platforms import open_registry, open_store
from personsearch.installation.settings import Settings
from personsearch.search.filters import CropFilter
from tests.onnx_bundle import make_onnx_bundle

app = typer.Typer()
registry.register(app)
search.register(app)


def run(*arguments: str) -> dict[str, Any]:
    """The JSON that a command prints; what it raises is raised here."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    if result.exception is not None:
        raise result.exception
    return dict(json.loads(result.stdout))


@pytest.fixture
def installation(tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A fresh installation with the test split in its gallery."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "var"))
    settings = Settings()
    add_dataset(tiny_dataset, Gallery(settings.gallery_folder), split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC))
    return settings


def test_the_whole_line(installation: Settings, tmp_path: Path) -> None:
    first, second = make_onnx_bundle(tmp_path / "first", seed=1), make_onnx_bundle(tmp_path / "second", seed=2)
    (first / METRICS).write_text('{"t2i_r1": 51.5, "note": "text"}')
    with pytest.raises(UserError, match="no champion"):
        run("index")
    with pytest.raises(UserError, match="no collection is live"):
        run("search", "a person")
    assert run("register", str(first), "--tag", "validation_status=passed")["version"] == "1"
    assert run("promote", "1", "--no-index") == {"champion": "1"}
    report = run("index")
    assert (report["collection"], report["crops"], report["encoded"]) == ("persons_v1_1", 24, 24)
    assert run("register", str(second))["version"] == "2"
    assert run("promote", "2")["collection"] == "persons_v2_2"

    grid = tmp_path / "grid.png"
    found = run("search", "a person in a red coat", "-k", "3", "--after", "2026-03-01T09:00:05Z", "--save", str(grid))
    assert (found["collection"], found["model_version"], found["reliable"]) == ("persons_v2_2", "2", None)
    assert [candidate["rank"] for candidate in found["candidates"]] == [1, 2, 3]
    assert all(candidate["captured_at"] >= "2026-03-01T09:00:05" for candidate in found["candidates"])
    assert all(Path(candidate["image"]).is_file() for candidate in found["candidates"])
    assert Image.open(grid).width > 600
    assert run("search", "anyone", "--camera", "nowhere")["candidates"] == []

    erased = found["candidates"][0]["crop_id"]
    Gallery(installation.gallery_folder).erase(CropFilter(crop_ids=(erased,)))
    assert run("rollback") == {"champion": "1", "fingerprint": Bundle.open(first).fingerprint}
    again = run("search", "a person in a red coat", "-k", "50")
    assert (again["collection"], len(again["candidates"])) == ("persons_v1_1", 23)
    assert erased not in {candidate["crop_id"] for candidate in again["candidates"]}
    versions = {version["version"]: version for version in run("models")["versions"]}
    assert (versions["1"]["aliases"], versions["2"]["aliases"]) == ("champion", "challenger")
    assert versions["2"]["index"] == "live: persons_v2_2"


def test_a_version_that_cannot_prove_itself_is_tagged_and_never_live(installation: Settings, tmp_path: Path) -> None:
    good, bad = make_onnx_bundle(tmp_path / "good", seed=1), make_onnx_bundle(tmp_path / "bad", seed=2)
    golden = json.loads((bad / GOLDEN).read_text())
    golden["text_embeddings"].reverse()
    (bad / GOLDEN).write_text(json.dumps(golden))
    run("register", str(good))
    run("promote", "1")
    run("register", str(bad))
    with pytest.raises(VerificationFailed, match="golden"):
        run("promote", "2")
    assert "golden" in open_registry(installation).version("2").tags["index_status"]
    assert open_store(installation).alias_target("persons") == "persons_v1_1"


def test_a_version_that_serving_would_refuse_is_tagged_and_never_live(installation: Settings, tmp_path: Path) -> None:
    good, bare = make_onnx_bundle(tmp_path / "good", seed=1), make_onnx_bundle(tmp_path / "bare", seed=2)
    (bare / IMAGE_ONNX).unlink()
    write_spec(bare, Bundle.open(bare).spec.model_copy(update={"variant": "torch"}))
    run("register", str(good))
    run("promote", "1")
    run("register", str(bare))
    with pytest.raises(UserError, match="holds torch weights only"):
        run("promote", "2")
    registry = open_registry(installation)
    assert registry.alias_version("champion") == "1"
    registry._client.set_registered_model_alias("personsearch", "champion", "2")  # as MLflow's page would do
    with pytest.raises(VerificationFailed, match=rf"{IMAGE_ONNX}: missing; run `personsearch compress`"):
        run("index")
    assert registry.version("2").tags["index_status"].startswith("failed: ")
    assert open_store(installation).alias_target("persons") == "persons_v1_1"


def test_the_users_mistakes_are_one_line(installation: Settings, tmp_path: Path) -> None:
    for arguments, message in (
        (("register", str(tmp_path)), "not a model bundle"),
        (("promote", "7"), "no version '7'"),
        (("rollback",), "no previous collection"),
        (("search", "x", "--after", "yesterday"), "'yesterday': not a time"),
    ):
        with pytest.raises(UserError, match=message):
            run(*arguments)
