"""A model's life where MLflow's server sends its clients to a bucket for artifacts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.store.artifact.s3_artifact_repo import _cached_get_s3_client

from personsearch.errors import UserError
from personsearch.integrations.mlflow.registry import ModelRegistry
from tests.integrations.mlflow.test_registry import make_bundle
from tests.servers.mlflow_server import mlflow_server
from tests.servers.s3 import S3Server


@pytest.fixture
def server(s3: S3Server, tmp_path: Path) -> Iterator[str]:
    with mlflow_server(tmp_path / "mlflow", artifacts=s3.new_place()) as address:
        yield address


def test_a_bundle_is_kept_in_the_bucket(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_folder: None
) -> None:
    registry = ModelRegistry(server, "in-a-bucket", cache=tmp_path / "cache")
    bundle = make_bundle(tmp_path / "bundle")
    version = registry.register(bundle, metrics={"t2i_r1": 57.5}, tags={})
    fetched = registry.fetch(version, bundle.fingerprint)
    assert {path.name: path.read_bytes() for path in fetched.folder.iterdir()} == {
        path.name: path.read_bytes() for path in bundle.folder.iterdir()
    }
    assert not (tmp_path / "mlflow" / "artifacts").exists()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it keeps the credentials that it saw first
    _cached_get_s3_client.cache_clear()
    elsewhere = ModelRegistry(server, "in-a-bucket", cache=tmp_path / "another-cache")
    with pytest.raises(UserError, match=r"cannot download models:/.*request signature") as caught:
        elsewhere.fetch(version, bundle.fingerprint)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"cannot register .*[sS]ignature"):
        registry.register(make_bundle(tmp_path / "other", b"other"), metrics={}, tags={})
    _cached_get_s3_client.cache_clear()
