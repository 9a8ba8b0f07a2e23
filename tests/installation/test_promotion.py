"""From a bundle to an answer by the commands a person types: register, promote, index, search, roll back."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from personsearch.bundle import CALIBRATION, GOLDEN, IMAGE_ONNX, METRICS, MODEL_CARD, Bundle, write_spec
from personsearch.cli import registry, search
from personsearch.errors import UserError, VerificationFailed
from personsearch.evaluation.gate import GateConfig, decide
from personsearch.gallery import indexing
from personsearch.gallery.add_dataset import add_dataset
from personsearch.installation.platforms import open_registry, open_store
from personsearch.installation.promotion import champion_metrics, register_model
from personsearch.installation.settings import Settings
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.mlflow.registry import CHAMPION
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
    add_dataset(
        tiny_dataset, gallery_in(settings.gallery_folder), split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC)
    )
    return settings


def keep(installation: Settings, bundle: Path) -> None:
    """Register a bundle that the command would refuse, as an earlier version of it or another program did."""
    open_registry(installation).register(Bundle.open(bundle), metrics={}, tags={})


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
    gallery_in(installation.gallery_folder).erase(CropFilter(crop_ids=(erased,)))
    assert run("rollback") == {"champion": "1", "fingerprint": Bundle.open(first).fingerprint}
    again = run("search", "a person in a red coat", "-k", "50")
    assert (again["collection"], len(again["candidates"])) == ("persons_v1_1", 23)
    assert erased not in {candidate["crop_id"] for candidate in again["candidates"]}
    versions = {version["version"]: version for version in run("models")["versions"]}
    assert (versions["1"]["aliases"], versions["2"]["aliases"]) == ("champion", "challenger")
    assert versions["1"]["index"] == f"live: {again['collection']}"
    assert versions["2"]["index"].startswith("previous: persons_v2_")


def test_what_a_registered_model_sees_is_in_its_card_and_in_what_the_gate_compares(
    installation: Settings, tmp_path: Path
) -> None:
    bundle, measured = make_onnx_bundle(tmp_path / "bundle", seed=1), tmp_path / "measured"
    (bundle / MODEL_CARD).write_text("# A model\n")
    measured.mkdir()
    metrics = {
        "t2i_r1": 60.0,
        "attribute_auc_gender": 0.53,
        "attribute_auc_sleeves": 0.95,
        "attribute_swapped_bag": 50.0,
    }
    (measured / METRICS).write_text(json.dumps({**metrics, "split": "test", "remark": None}))
    (measured / CALIBRATION).write_text("{}")
    name, tags = installation.model_name, {"dataset_hash": "d1"}
    version = register_model(bundle, measured, metrics, model_name=name, tags=tags)
    registry = open_registry(installation)
    kept = registry.fetch(version, registry.version(version).fingerprint)
    card = kept.path(MODEL_CARD).read_text()
    assert card.startswith("# A model\n\n## What it sees\n")
    assert "- It does not see gender (0.53).\n- It sees sleeves (0.95).\n" in card
    assert (bundle / MODEL_CARD).read_text() == "# A model\n"
    registry.move(CHAMPION, version)
    assert champion_metrics(name, "d1") == metrics
    assert champion_metrics(name, "d2") is None
    blind = {**metrics, "attribute_auc_sleeves": 0.5}
    assert not decide(GateConfig(), blind, champion_metrics(name, "d1")).passed


def test_a_version_that_cannot_prove_itself_is_tagged_and_never_live(installation: Settings, tmp_path: Path) -> None:
    good, bad = make_onnx_bundle(tmp_path / "good", seed=1), make_onnx_bundle(tmp_path / "bad", seed=2)
    golden = json.loads((bad / GOLDEN).read_text())
    golden["text_embeddings"].reverse()
    (bad / GOLDEN).write_text(json.dumps(golden))
    run("register", str(good))
    run("promote", "1")
    keep(installation, bad)
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
    keep(installation, bare)
    with pytest.raises(UserError, match="holds torch weights only"):
        run("promote", "2")
    registry = open_registry(installation)
    assert registry.alias_version("champion") == "1"
    registry._client.set_registered_model_alias("personsearch", "champion", "2")  # as MLflow's page would do
    with pytest.raises(VerificationFailed, match=rf"{IMAGE_ONNX}: missing; run `personsearch compress`"):
        run("index")
    assert registry.version("2").tags["index_status"].startswith("failed: ")
    assert open_store(installation).alias_target("persons") == "persons_v1_1"


def broken(bundle: Path, name: str) -> Path:
    """A bundle that passes its golden inputs, or is not asked for them, and cannot be served."""
    if name == "NaN on real pictures":
        _make_blind(bundle / IMAGE_ONNX)
    elif name == "another dimension":
        spec = Bundle.open(bundle).spec
        write_spec(bundle, spec.model_copy(update={"embedding_dim": spec.embedding_dim + 1}))
    elif name == "a truncated graph":
        whole = (bundle / IMAGE_ONNX).read_bytes()
        (bundle / IMAGE_ONNX).write_bytes(whole[: len(whole) // 2])
    return bundle


def _make_blind(path: Path) -> None:
    """Let a graph give NaN for pictures without the strong contrast that the golden ones have: x + 0·√(range − 1.9)."""
    graph = onnx.load(path)
    node = onnx.helper.make_node
    nodes = [
        node("ReduceMax", ["input"], ["max"], axes=[1, 2, 3]),
        node("ReduceMin", ["input"], ["min"], axes=[1, 2, 3]),
        node("Sub", ["max", "min"], ["range"]),
        node("Sub", ["range", "bound"], ["above"]),
        node("Sqrt", ["above"], ["root"]),
        node("Mul", ["root", "zero"], ["nothing"]),
        node("Add", ["input", "nothing"], ["checked"]),
    ]
    graph.graph.node[0].input[0] = "checked"
    for place, one in enumerate(nodes):
        graph.graph.node.insert(place, one)
    for name, value in (("bound", 1.9), ("zero", 0.0)):
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, dtype=np.float32), name))
    onnx.save(graph, path)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("NaN on real pictures", "the model gives NaN or infinity"),
        ("another dimension", "gives vectors of 8 dimensions, the bundle says 9"),
        ("a truncated graph", IMAGE_ONNX),
        ("deleted from the store", "fingerprint"),
    ],
)
def test_whatever_keeps_a_version_from_going_live_is_in_its_tag(
    installation: Settings, tmp_path: Path, fault: str, reason: str
) -> None:
    run("register", str(make_onnx_bundle(tmp_path / "good", seed=1)))
    run("promote", "1")
    keep(installation, broken(make_onnx_bundle(tmp_path / "bad", seed=2), fault))
    registry = open_registry(installation)
    if fault == "deleted from the store":
        content = (tmp_path / "bad" / IMAGE_ONNX).read_bytes()
        stored = [path for path in tmp_path.rglob(IMAGE_ONNX) if path.read_bytes() == content]
        assert len(stored) == 2
        for path in stored:
            path.unlink()
    registry._client.set_registered_model_alias("personsearch", "champion", "2")  # as MLflow's page would do
    with pytest.raises(UserError, match=reason):
        run("index")
    assert registry.version("2").tags["index_status"].startswith("failed: ")
    assert reason in registry.version("2").tags["index_status"]
    assert open_store(installation).alias_target("persons") == "persons_v1_1"


def test_a_champion_that_is_withdrawn_during_the_build_does_not_go_live(
    installation: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (1, 2):
        run("register", str(make_onnx_bundle(tmp_path / str(seed), seed=seed)))
    run("promote", "1")
    registry, store = open_registry(installation), open_store(installation)
    registry.promote("2")
    verify = indexing.verify

    def withdraw_and_verify(*arguments: Any, **named: Any) -> Any:
        registry.promote("1")
        return verify(*arguments, **named)

    monkeypatch.setattr(indexing, "verify", withdraw_and_verify)
    with pytest.raises(UserError, match="version 2 does not go live: version 1 has become the champion"):
        run("index", "--model-version", "2", "--while-champion")
    assert store.alias_target("persons") == "persons_v1_1"
    assert "version 1 has become the champion" in registry.version("2").tags["index_status"]


def test_a_rollback_that_cannot_be_completed_moves_nothing(installation: Settings, tmp_path: Path) -> None:
    for seed in (1, 2):
        run("register", str(make_onnx_bundle(tmp_path / str(seed), seed=seed)))
        run("promote", str(seed))
    registry, store = open_registry(installation), open_store(installation)
    registry._client.delete_model_version("personsearch", "1")  # as MLflow's page would do
    with pytest.raises(UserError, match="no version '1'"):
        run("rollback")
    assert (store.alias_target("persons"), registry.alias_version("champion")) == ("persons_v2_2", "2")


def test_a_rollback_undoes_a_promotion_that_is_not_live_yet(installation: Settings, tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        run("register", str(make_onnx_bundle(tmp_path / str(seed), seed=seed)))
    for version in ("1", "2"):
        run("promote", version)
    registry, store = open_registry(installation), open_store(installation)
    registry.promote("3")  # the store knows nothing of it yet
    assert run("rollback")["champion"] == "2"
    assert (store.alias_target("persons"), registry.alias_version("champion")) == ("persons_v2_2", "2")
    assert run("rollback")["champion"] == "1"
    assert (store.alias_target("persons"), registry.alias_version("champion")) == ("persons_v1_1", "1")


def test_a_rollback_to_a_version_that_is_another_model_now_moves_nothing(
    installation: Settings, tmp_path: Path
) -> None:
    for seed in (1, 2):
        run("register", str(make_onnx_bundle(tmp_path / str(seed), seed=seed)))
        run("promote", str(seed))
    registry, store = open_registry(installation), open_store(installation)
    registry.tag("1", "fingerprint", "0123456789abcdef")  # as in a registry that was set up again
    with pytest.raises(UserError, match="version 1 of 'personsearch' is another model than the one that made"):
        run("rollback")
    assert (store.alias_target("persons"), registry.alias_version("champion")) == ("persons_v2_2", "2")


def test_nothing_is_registered_that_could_not_be_served(installation: Settings, tmp_path: Path) -> None:
    torch, cut = make_onnx_bundle(tmp_path / "torch", seed=1), make_onnx_bundle(tmp_path / "cut", seed=2)
    write_spec(torch, Bundle.open(torch).spec.model_copy(update={"variant": "torch"}))
    for bundle, reason in ((torch, "holds torch weights only.*personsearch compress"), (cut, IMAGE_ONNX)):
        broken(bundle, "a truncated graph")
        with pytest.raises(VerificationFailed, match=reason):
            run("register", str(bundle))
    assert open_registry(installation).versions() == []


def test_a_promotion_with_an_empty_gallery_moves_nothing(
    installation: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("register", str(make_onnx_bundle(tmp_path / "one", seed=1)))
    empty = gallery_in(tmp_path / "empty").folder
    for folder, reason in ((tmp_path / "absent", "no gallery"), (empty, "the gallery is empty.*--no-index")):
        with pytest.raises(UserError, match=reason) as told:
            run("promote", "1", "--gallery", str(folder))
        assert "personsearch ingest" in str(told.value)
        assert "gallery add-dataset" in str(told.value)
    assert open_registry(installation).alias_version("champion") is None


@pytest.mark.parametrize("earlier", [None, "1"])
def test_a_version_that_does_not_go_live_does_not_stay_champion(
    installation: Settings, tmp_path: Path, earlier: str | None
) -> None:
    for seed in (1, 2):
        run("register", str(make_onnx_bundle(tmp_path / str(seed), seed=seed)))
    registry = open_registry(installation)
    if earlier:
        registry.promote(earlier)
    (tmp_path / "strict.yaml").write_text("index: {verify: {min_spread: 2}}")
    with pytest.raises(VerificationFailed):
        run("promote", "2", "--params", str(tmp_path / "strict.yaml"))
    assert registry.alias_version("champion") == earlier
    assert registry.version("2").tags["index_status"].startswith("failed: ")


def test_the_users_mistakes_are_one_line(installation: Settings, tmp_path: Path) -> None:
    for arguments, message in (
        (("register", str(tmp_path)), "not a model bundle"),
        (("promote", "7"), "no version '7'"),
        (("rollback",), "no previous collection"),
        (("search", "x", "--after", "yesterday"), "'yesterday': not a time"),
    ):
        with pytest.raises(UserError, match=message):
            run(*arguments)
