"""A model's life in MLflow: on a database and through a server, the same cases."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from personsearch.bundle import CALIBRATION, WEIGHTS, Bundle, BundleSpec, Lineage, Preprocessing, write_spec
from personsearch.errors import UserError
from personsearch.integrations.mlflow.registry import ModelRegistry
from tests.servers.mlflow_server import mlflow_server

pytestmark = pytest.mark.usefixtures("empty_folder")


def make_bundle(folder: Path, weights: bytes = b"weights") -> Bundle:
    folder.mkdir()
    preprocessing = Preprocessing(height=128, width=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    lineage = Lineage(dataset_hash="data", git_commit="abc", run_id="run-1")
    spec = BundleSpec(
        method="tbps-clip",
        variant="onnx-fp32",
        architecture={"embed_dim": 8},
        preprocessing=preprocessing,
        context_length=24,
        embedding_dim=8,
        lineage=lineage,
    )
    write_spec(folder, spec)
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "tokenizer.json").write_text("{}")
    return Bundle(folder, spec)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('database')}/mlflow.db"


@pytest.fixture(params=["database", "server"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> ModelRegistry:
    """A registry in which this test's model has no version yet."""
    name = f"model-{request.node.originalname}-{request.param}"
    return ModelRegistry(request.getfixturevalue(request.param), name, cache=tmp_path / "cache")


def test_a_registered_bundle_comes_back_whole(
    registry: ModelRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    version = registry.register(bundle, metrics={"t2i_r1": 57.5}, tags={"validation_status": "passed", "team": "é"})
    assert (version, registry.alias_version("challenger"), registry.alias_version("champion")) == ("1", "1", None)
    downloaded = registry.fetch("1", bundle.fingerprint)
    assert {path.name: path.read_bytes() for path in downloaded.folder.iterdir()} == {
        path.name: path.read_bytes() for path in bundle.folder.iterdir()
    }
    tags = registry.version("1").tags
    assert tags["validation_status"] == "passed"
    assert tags["team"] == "é"
    assert (tags["fingerprint"], tags["dataset_hash"], tags["git_commit"]) == (
        bundle.fingerprint,
        "data",
        "abc",
    )
    assert capsys.readouterr().out == ""  # it belongs to the command's own result


def test_metrics_are_tied_to_the_model(registry: ModelRegistry, tmp_path: Path) -> None:
    registry.register(make_bundle(tmp_path / "bundle"), metrics={"t2i_r1": 57.5}, tags={})
    model = registry._client.get_logged_model(registry.version("1").source.removeprefix("models:/"))
    assert {metric.key: metric.value for metric in model.metrics} == {"t2i_r1": 57.5}
    assert registry._client.get_run(model.source_run_id).info.status == "FINISHED"


def test_the_same_bundle_of_the_same_run_is_one_version(registry: ModelRegistry, tmp_path: Path) -> None:
    first, other = make_bundle(tmp_path / "first"), make_bundle(tmp_path / "other", b"other weights")
    versions = [registry.register(bundle, metrics={}, tags={}) for bundle in (first, first, other)]
    assert versions == ["1", "1", "2"]
    assert registry.register(first, metrics={}, tags={"pipeline_run": "another"}) == "3"
    assert [version.version for version in registry.versions()] == ["3", "2", "1"]


def test_the_same_weights_with_another_calibration_are_another_version(registry: ModelRegistry, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    versions = []
    for calibration in ('{"threshold": 0.9}', '{"threshold": 0.5}', '{"threshold": 0.5}'):
        (bundle.folder / CALIBRATION).write_text(calibration)
        versions.append(registry.register(Bundle.open(bundle.folder), metrics={}, tags={}))
    assert versions == ["1", "2", "2"]
    for version, calibration in (("1", '{"threshold": 0.9}'), ("2", '{"threshold": 0.5}')):
        assert (registry.fetch(version, bundle.fingerprint).folder / CALIBRATION).read_text() == calibration


def test_promotion_moves_the_alias(registry: ModelRegistry, tmp_path: Path) -> None:
    for name in ("a", "b"):
        registry.register(make_bundle(tmp_path / name, name.encode()), metrics={}, tags={})
    registry.promote("1")
    assert registry.alias_version("champion") == "1"
    registry.promote("2")
    registry.tag("2", "validation_status", "failed: collapsed")
    assert registry.version("2").tags["validation_status"] == "failed: collapsed"
    assert {version.version: version.aliases for version in registry.versions()} == {
        "1": (),
        "2": ("challenger", "champion"),
    }


def test_an_alias_in_other_capitals_is_told(registry: ModelRegistry, tmp_path: Path) -> None:
    assert registry.champion() is None
    registry.register(make_bundle(tmp_path / "bundle"), metrics={}, tags={})
    registry.move("Champion", "1")  # as people type it in MLflow's page
    with pytest.raises(UserError, match="version 1 has the alias 'Champion'; 'champion', in small letters, expected"):
        registry.champion()
    registry.promote("1")
    assert registry.champion() == "1"


def test_torch_weights_are_kept_but_never_champion(registry: ModelRegistry, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    write_spec(bundle.folder, bundle.spec.model_copy(update={"variant": "torch"}))
    assert registry.register(Bundle.open(bundle.folder), metrics={}, tags={}) == "1"
    with pytest.raises(UserError, match="holds torch weights only, serving needs ONNX"):
        registry.promote("1")
    assert registry.alias_version("champion") is None


def test_what_does_not_exist(registry: ModelRegistry, tmp_path: Path) -> None:
    assert registry.versions() == []
    assert registry.alias_version("champion") is None
    registry.register(make_bundle(tmp_path / "bundle"), metrics={}, tags={})
    for version in ("99", "abc", "-1", ""):
        with pytest.raises(UserError, match=f"no version '{version}'"):
            registry.promote(version)
    with pytest.raises(UserError, match="not a model bundle"):
        registry.register(Bundle.open(tmp_path), metrics={}, tags={})


def test_the_cache_is_verified_and_mended(registry: ModelRegistry, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    registry.register(bundle, metrics={}, tags={})
    folder = registry.fetch("1", bundle.fingerprint).folder
    (folder / WEIGHTS).write_bytes(b"damaged")
    assert registry.fetch("1", bundle.fingerprint).path(WEIGHTS).read_bytes() == b"weights"
    with pytest.raises(UserError, match="does not have fingerprint 'ffff'"):
        registry.fetch("1", "ffff")
    unreachable = ModelRegistry("http://127.0.0.1:9", registry.model_name, cache=registry.cache)
    assert unreachable.fetch("1", bundle.fingerprint).folder == folder


def test_an_unreachable_server_is_a_readable_error(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for address in ("http://127.0.0.1:9", f"http://127.0.0.1:{silent.getsockname()[1]}"):
            with pytest.raises(UserError, match="MLflow cannot be reached"):
                ModelRegistry(address, "model", cache=tmp_path).versions()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("rubbish://", "^rubbish://: MLflow cannot be used there: .*[Uu]nsupported"),
        ("postgresql://127.0.0.1:1/x", "^postgresql://127.0.0.1:1/x: MLflow cannot be used there: .*refused.*; start"),
        ("postgresql://ann:secret@127.0.0.1:1/x", r"^postgresql://\*\*\*@127.0.0.1:1/x: MLflow cannot .*refused"),
    ],
)
def test_an_address_that_mlflow_cannot_use_is_a_readable_error(address: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason) as told:
        ModelRegistry(address, "model", cache=tmp_path).versions()
    assert "\n" not in str(told.value)
    assert "secret" not in str(told.value)
