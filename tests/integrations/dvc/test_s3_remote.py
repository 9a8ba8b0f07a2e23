"""Data sets in a real S3 store, as a remote of DVC."""

import subprocess
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.integrations.dvc.data import fetch
from personsearch.integrations.dvc.repository import DatasetVersion, commit_dataset, create_data_repository
from tests.servers.s3 import S3Server


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "people"
    (folder / "images").mkdir(parents=True)
    for number in range(20):
        (folder / "images" / f"{number}.jpg").write_bytes(b"picture %d" % number)
    return folder


@pytest.fixture
def version(s3: S3Server, dataset: Path, tmp_path: Path) -> DatasetVersion:
    """The data set in a repository whose remote is a bucket; whoever fetches it knows the repository alone."""
    repository = tmp_path / "repository"
    create_data_repository(repository, remote=s3.new_place())
    return commit_dataset(repository, dataset, "Add people")


def test_a_data_set_goes_to_the_bucket_and_comes_back(version: DatasetVersion, dataset: Path, tmp_path: Path) -> None:
    assert not (tmp_path / "dvc-remote").exists()
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", version.repository, str(clone)], check=True)
    fetched = fetch(str(clone), version.revision, version.path, tmp_path / "out", expected_hash=version.dataset_hash)
    assert fetched == version.dataset_hash
    assert contents(tmp_path / "out") == contents(dataset)


def test_a_repository_keeps_its_remote(version: DatasetVersion, s3: S3Server) -> None:
    repository = Path(version.repository)
    (place,) = (line.split()[2] for line in (repository / ".dvc/config").read_text().splitlines() if "url" in line)
    create_data_repository(repository, remote=place)
    with pytest.raises(UserError, match=r"its data goes elsewhere than s3://elsewhere/dvc, see .*; name another"):
        create_data_repository(repository, remote="s3://elsewhere/dvc")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"AWS_ACCESS_KEY_ID": "nobody"}, r"\(403\) .* Forbidden"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, r"\(403\) .* Forbidden"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 'Could not connect to the endpoint URL: "http://127.0.0.1:9/'),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials"),
    ],
)
def test_a_store_that_refuses_is_one_readable_line(
    version: DatasetVersion,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    message: str,
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"people: its remote storage cannot be read: .*{message}") as caught:
        fetch(version.repository, version.revision, version.path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
