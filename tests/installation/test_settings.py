"""Settings of an installation: the environment where it says something, else the defaults."""

from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.installation.settings import Settings
from personsearch.integrations.milvus.options import CollectionOptions
from serving.settings import ServingSettings

NAMES = ("HOME", "GALLERY", "MILVUS_URI", "MLFLOW_URI", "MODEL_NAME", "AUDIT_FILE")


@pytest.mark.parametrize("kind", [Settings, ServingSettings])
def test_an_empty_variable_is_as_good_as_none(
    kind: type[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the databases would be made wherever a command is run."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.setenv(f"PERSONSEARCH_{name}", "")
    settings = kind()
    assert settings.mlflow_address == "sqlite:///var/mlflow.db"
    assert settings.milvus_address == "var/milvus.db"
    assert settings.gallery_folder == Path("var/gallery")
    assert settings.model_name == "personsearch"


def test_the_environment_goes_before_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path))
    monkeypatch.setenv("PERSONSEARCH_MLFLOW_URI", "http://mlflow.example")
    monkeypatch.delenv("PERSONSEARCH_MILVUS_URI", raising=False)
    settings = Settings()
    assert settings.mlflow_address == "http://mlflow.example"
    assert settings.milvus_address == str(tmp_path / "milvus.db")


def test_what_milvus_is_told_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "INDEX": "HNSW",
        "BUILD": '{"M": 32}',
        "SEARCH": '{"ef": 256}',
        "REPLICAS": "2",
        "RESOURCE_GROUPS": '["a", "b"]',
    }.items():
        monkeypatch.setenv(f"PERSONSEARCH_MILVUS_{name}", value)
    assert Settings().milvus_options == CollectionOptions("HNSW", {"M": 32}, {"ef": 256}, 2, ("a", "b"))
    assert Settings().milvus_options.loading() == {"replica_number": 2, "resource_groups": ["a", "b"]}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HOME", "s3://bucket/site", "a path on this machine expected"),
        ("GALLERY", "s3:bucket", "a path on this machine expected"),
        ("AUDIT_FILE", "http://host/x", "a path on this machine expected"),
        ("MILVUS_URI", "127.0.0.1:19530", "http://HOST:PORT or a file whose name ends with .db expected"),
        ("MILVUS_URI", "http:/127.0.0.1:19530", "http://HOST:PORT or a file whose name ends with .db expected"),
        ("LEASE_SECONDS", "inf", "a finite number expected"),
        ("LEASE_SECONDS", "1e300", "at most 3600 expected"),
        ("INDEX_STALL_SECONDS", "1e300", "at most 1e.07 expected"),
        ("AUDIT_ANCHOR_SECONDS", "inf", "a finite number expected"),
        ("MILVUS_BUILD", "M=32", "JSON expected"),
        ("MILVUS_INDEX", "DISKANN", "'AUTO', 'FLAT', 'HNSW' or 'AUTOINDEX'"),
        ("MILVUS_REPLICAS", "0", "1"),
        ("WATCH_SECONDS", "1e300", "at most 1e.07 expected"),
    ],
)
def test_a_value_that_cannot_be_is_named(name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PERSONSEARCH_{name}", value)
    with pytest.raises(UserError, match=rf"^PERSONSEARCH_{name}.*{message}"):
        ServingSettings()
