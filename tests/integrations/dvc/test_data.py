"""Versions of a data set through the real DVC and Git, without a network."""

import shutil
import subprocess
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.files import partial_folder
from personsearch.integrations.dvc.data import dataset_identity, fetch
from personsearch.integrations.dvc.repository import DatasetVersion, commit_dataset, create_data_repository


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stored(repository: Path) -> list[Path]:
    """The objects in the repository's remote, without those that list a folder."""
    remote = repository.parent / "dvc-remote"
    return [path for path in remote.rglob("*") if path.is_file() and path.suffix != ".dir"]


def make_dataset(folder: Path) -> Path:
    (folder / "imgs").mkdir(parents=True)
    for number in range(12):
        (folder / "imgs" / f"{number}.jpg").write_bytes(b"picture %d" % number)
    (folder / "reid_raw.json").write_text("[]")
    return folder


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DatasetVersion, DatasetVersion]:
    """The data set's folder and its two versions; the second has one picture more."""
    home = tmp_path_factory.mktemp("home")
    dataset = make_dataset(home / "synthetic")
    create_data_repository(home / "data-repository")
    first = commit_dataset(home / "data-repository", dataset, "First")
    (dataset / "imgs" / "new.jpg").write_bytes(b"new")
    return dataset, first, commit_dataset(home / "data-repository", dataset, "Second")


def test_each_version_comes_back_as_it_was(
    committed: tuple[Path, DatasetVersion, DatasetVersion], tmp_path: Path
) -> None:
    dataset, first, second = committed
    assert first.dataset_hash != second.dataset_hash
    for version, name in ((first, "one"), (second, "two")):
        assert fetch(version.repository, version.revision, version.path, tmp_path / name) == version.dataset_hash
    assert contents(tmp_path / "two") == contents(dataset)
    assert len(contents(tmp_path / "one")) == len(contents(dataset)) - 1


def test_the_same_content_is_the_same_version(committed: tuple[Path, DatasetVersion, DatasetVersion]) -> None:
    dataset, _, second = committed
    repository = Path(second.repository)
    create_data_repository(repository)
    assert commit_dataset(repository, dataset, "Again") == second
    assert len(stored(repository)) == len(contents(dataset))


def test_the_identity_needs_no_download(committed: tuple[Path, DatasetVersion, DatasetVersion]) -> None:
    _, first, second = committed
    assert dataset_identity(first.repository, first.revision, first.path) == first.dataset_hash
    assert dataset_identity(f"file://{second.repository}", "main", second.path) == second.dataset_hash


def test_fetching_again_is_no_work_and_foreign_files_are_safe(
    committed: tuple[Path, DatasetVersion, DatasetVersion], tmp_path: Path
) -> None:
    _, first, second = committed
    out = tmp_path / "out"
    fetch(first.repository, first.revision, first.path, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    fetch(first.repository, first.revision, first.path, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(UserError, match="holds something other"):
        fetch(second.repository, second.revision, second.path, out)
    assert contents(out)


def test_an_interrupted_fetch_continues_and_a_half_file_is_fetched_again(
    committed: tuple[Path, DatasetVersion, DatasetVersion], tmp_path: Path
) -> None:
    dataset, _, second = committed
    partial = partial_folder(tmp_path / "out")
    (partial / "imgs").mkdir()
    (partial / "imgs" / "0.jpg").write_bytes((dataset / "imgs" / "0.jpg").read_bytes())
    (partial / "imgs" / "1.jpg").write_bytes(b"pict")
    (partial / "imgs" / "of another version.jpg").write_bytes(b"x")
    untouched = (partial / "imgs" / "0.jpg").stat().st_ino
    fetch(second.repository, second.revision, second.path, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(dataset)
    assert (tmp_path / "out" / "imgs" / "0.jpg").stat().st_ino == untouched
    assert not partial.exists()


def test_one_file_of_a_version(committed: tuple[Path, DatasetVersion, DatasetVersion], tmp_path: Path) -> None:
    _, _, second = committed
    fetch(second.repository, second.revision, f"{second.path}/reid_raw.json", tmp_path / "out")
    assert contents(tmp_path / "out") == {"reid_raw.json": b"[]"}


@pytest.mark.parametrize(
    ("repository", "revision", "path", "message"),
    [
        (None, "nonsense", None, "has no revision 'nonsense'"),
        (None, None, "nothing", "has no nothing"),
        (None, None, "synthetic.dvc", "not tracked by DVC"),
        ("/nonexistent", None, None, "cannot be reached or is not a Git repository"),
        ("https://127.0.0.1:9/none.git", None, None, "cannot be reached or is not a Git repository"),
    ],
)
def test_mistakes_are_one_line(  # noqa: PLR0917 (pytest passes them by name)
    committed: tuple[Path, DatasetVersion, DatasetVersion],
    tmp_path: Path,
    repository: str | None,
    revision: str | None,
    path: str | None,
    message: str,
) -> None:
    version = committed[1]
    with pytest.raises(UserError, match=message) as caught:
        fetch(repository or version.repository, revision or version.revision, path or version.path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_another_hash_than_expected_is_refused(
    committed: tuple[Path, DatasetVersion, DatasetVersion], tmp_path: Path
) -> None:
    _, first, second = committed
    with pytest.raises(UserError, match=f"has hash {first.dataset_hash}; {second.dataset_hash} expected"):
        fetch(first.repository, first.revision, first.path, tmp_path / "out", expected_hash=second.dataset_hash)


def test_content_missing_from_the_remote_is_said_and_can_be_mended(tmp_path: Path) -> None:
    dataset, repository = make_dataset(tmp_path / "set"), tmp_path / "home" / "data-repository"
    create_data_repository(repository)
    version = commit_dataset(repository, dataset, "Add")
    stored(repository)[0].unlink()
    with pytest.raises(UserError, match="not in the remote storage; run `dvc push`"):
        fetch(version.repository, version.revision, version.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert commit_dataset(repository, dataset, "Again") == version
    fetch(version.repository, version.revision, version.path, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(dataset)


def test_damaged_content_is_refused(tmp_path: Path) -> None:
    dataset, repository = make_dataset(tmp_path / "set"), tmp_path / "home" / "data-repository"
    create_data_repository(repository)
    version = commit_dataset(repository, dataset, "Add")
    damaged = stored(repository)[0]
    damaged.chmod(0o644)
    damaged.write_bytes(b"damaged")
    with pytest.raises(UserError):
        fetch(version.repository, version.revision, version.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_repository_left_half_made_is_finished(tmp_path: Path) -> None:
    repository = tmp_path / "data-repository"
    repository.mkdir()
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    (repository / ".dvc").mkdir()
    create_data_repository(repository)
    log = subprocess.run(["git", "-C", str(repository), "log", "--oneline"], capture_output=True, text=True, check=True)
    assert "Start the data repository" in log.stdout
    assert commit_dataset(repository, make_dataset(tmp_path / "set"), "Add").path == "set"


def test_no_data_set_is_a_mistake(tmp_path: Path) -> None:
    create_data_repository(tmp_path / "data-repository")
    with pytest.raises(UserError, match="absent: no such file or folder"):
        commit_dataset(tmp_path / "data-repository", tmp_path / "absent", "Add")


def test_a_dangling_link_in_a_data_set_is_named(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    (dataset / "imgs" / "12.jpg").symlink_to("/gone/12.jpg")
    create_data_repository(tmp_path / "data-repository")
    with pytest.raises(UserError, match=r"set/imgs/12\.jpg: a link to /gone/12\.jpg, which does not exist"):
        commit_dataset(tmp_path / "data-repository", dataset, "Add")


def test_a_folder_that_cannot_be_written_is_refused_before_the_download(
    committed: tuple[Path, DatasetVersion, DatasetVersion], tmp_path: Path
) -> None:
    version = committed[1]
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "file").touch()
    for name, message in (("link", "a link to .*gone, which does not exist"), ("file", "Not a directory")):
        with pytest.raises(UserError, match=message):
            fetch(version.repository, version.revision, version.path, tmp_path / name)
    assert not list(tmp_path.glob(".*.partial"))


def test_a_repository_that_moved_with_its_remote_still_works(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    create_data_repository(tmp_path / "old" / "data-repository")
    version = commit_dataset(tmp_path / "old" / "data-repository", dataset, "Add")
    shutil.move(tmp_path / "old", tmp_path / "new")
    fetch(str(tmp_path / "new" / "data-repository"), version.revision, version.path, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(dataset)
