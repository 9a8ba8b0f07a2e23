"""Repositories as others keep them: made by DVC 2, DVC below the root, annotations in Git, changes not committed."""

import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from dvc.repo import Repo

from personsearch.errors import UserError
from personsearch.integrations.dvc.data import dataset_identity, fetch
from personsearch.integrations.dvc.repository import GIT, commit_dataset, create_data_repository
from personsearch.integrations.dvc.version import quiet_dvc


def git(folder: Path, *arguments: str) -> str:
    command = [*GIT, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Change the data")
    return git(folder, "rev-parse", "HEAD")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_dataset(folder: Path) -> Path:
    (folder / "imgs").mkdir(parents=True)
    for number in range(3):
        (folder / "imgs" / f"{number}.jpg").write_bytes(b"\xff\xd8\0picture %d" % number)
    (folder / "reid_raw.json").write_bytes(b"[]\r\n")
    return folder


def init_dvc(folder: Path, remote: Path, *, subdir: bool = False) -> None:
    with quiet_dvc(), Repo.init(str(folder), subdir=subdir):
        (folder / ".dvc" / "config").write_text(
            f"[core]\n    remote = local\n['remote \"local\"']\n    url = {remote}\n", encoding="utf-8"
        )


def dvc_add(repository: Path, *paths: Path) -> list[str]:
    with quiet_dvc(), Repo(str(repository)) as repo:
        hashes = [str(repo.add([str(path)])[0].outs[0].hash_info.value) for path in paths]
        repo.push()
    return hashes


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A Git repository without DVC."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "README.md").write_text("several projects")
    return folder


def store_as_dvc_2(repository: Path, dataset: Path, remote: Path) -> str:
    """Track `dataset` as `mine` in the layout of DVC 2: no `hash:`, objects at the remote's root, CRLF hashed as LF."""

    def store(content: bytes, digest: str) -> str:
        path = remote / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return digest

    listing = [
        {"md5": store(content, hashlib.md5(content.replace(b"\r\n", b"\n")).hexdigest()), "relpath": name}
        for name, content in sorted(contents(dataset).items())
    ]
    text = json.dumps(listing, sort_keys=True).encode()
    folder = store(text, f"{hashlib.md5(text).hexdigest()}.dir")
    (repository / "mine.dvc").write_text(f"outs:\n- md5: {folder}\n  size: 60\n  nfiles: 4\n  path: mine\n")
    return folder


def test_a_repository_of_dvc_2(repository: Path, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "dataset")
    init_dvc(repository, tmp_path / "remote")
    expected = store_as_dvc_2(repository, dataset, tmp_path / "remote")
    commit(repository)
    assert dataset_identity(str(repository), "main", "mine") == expected
    assert fetch(str(repository), "main", "mine", tmp_path / "out", expected_hash=expected) == expected
    assert contents(tmp_path / "out") == contents(dataset)
    assert fetch(str(repository), "main", "mine", tmp_path / "out") == expected  # found intact, line ends and all


def test_damaged_content_of_dvc_2_is_refused(repository: Path, tmp_path: Path) -> None:
    init_dvc(repository, tmp_path / "remote")
    store_as_dvc_2(repository, make_dataset(tmp_path / "dataset"), tmp_path / "remote")
    commit(repository)
    picture = hashlib.md5(b"\xff\xd8\0picture 1").hexdigest()
    (tmp_path / "remote" / picture[:2] / picture[2:]).write_bytes(b"\xff\xd8\0another")
    with pytest.raises(UserError):
        fetch(str(repository), "main", "mine", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("revision", ["HEAD", "main"])
def test_dvc_below_the_root_of_the_repository(repository: Path, tmp_path: Path, revision: str) -> None:
    project = repository / "teams" / "ours"
    project.mkdir(parents=True)
    init_dvc(project, tmp_path / "remote", subdir=True)
    dataset = make_dataset(project / "mine")
    [expected] = dvc_add(project, dataset)
    commit(repository)
    addresses = ((repository, "teams/ours/mine"), (project, "mine"), (f"file://{repository}", "teams/ours/mine"))
    for number, (address, path) in enumerate(addresses):
        assert dataset_identity(str(address), revision, path) == expected
        assert fetch(str(address), revision, path, tmp_path / str(number)) == expected
        assert contents(tmp_path / str(number)) == contents(dataset)


def test_an_annotation_in_git_beside_images_in_dvc(repository: Path, tmp_path: Path) -> None:
    init_dvc(repository, tmp_path / "remote")
    dataset = make_dataset(repository / "data" / "mine")
    whole = shutil.copytree(dataset, repository / "whole")
    _, as_one = dvc_add(repository, dataset / "imgs", whole)
    first = commit(repository)
    assert dataset_identity(str(repository), "HEAD", "data/mine") == as_one
    assert fetch(str(repository), "HEAD", "data/mine", tmp_path / "out") == as_one
    assert contents(tmp_path / "out") == contents(whole)
    (dataset / "reid_raw.json").write_text("[1]")
    second = commit(repository)
    assert dataset_identity(str(repository), second, "data/mine") != as_one
    assert dataset_identity(str(repository), first, "data/mine/") == as_one


def test_a_folder_without_dvc_data_is_not_tracked(repository: Path, tmp_path: Path) -> None:
    init_dvc(repository, tmp_path / "remote")
    make_dataset(repository / "only-git")
    commit(repository)
    with pytest.raises(UserError, match="only-git: not tracked by DVC"):
        fetch(str(repository), "HEAD", "only-git", tmp_path / "out")


def test_head_is_refused_while_a_change_is_not_committed(repository: Path, tmp_path: Path) -> None:
    init_dvc(repository, tmp_path / "remote")
    dataset = make_dataset(repository / "mine")
    [before] = dvc_add(repository, dataset)
    committed = commit(repository)
    (repository / "README.md").write_text("a change elsewhere")
    assert dataset_identity(str(repository), "HEAD", "mine") == before

    (dataset / "imgs" / "new.jpg").write_bytes(b"new")
    [after] = dvc_add(repository, dataset)
    with pytest.raises(UserError, match="mine: the working tree has another version, which is not committed"):
        fetch(str(repository), "HEAD", "mine", tmp_path / "out")
    unchanged = hashlib.md5(b"\xff\xd8\0picture 0").hexdigest()
    assert dataset_identity(str(repository), "HEAD", "mine/imgs/0.jpg") == unchanged
    assert dataset_identity(str(repository), committed, "mine") == before
    commit(repository)
    assert fetch(str(repository), "HEAD", "mine", tmp_path / "out") == after


def test_head_is_refused_while_images_changed_without_dvc_add(repository: Path, tmp_path: Path) -> None:
    init_dvc(repository, tmp_path / "remote")
    dataset = make_dataset(repository / "data" / "mine")
    [before] = dvc_add(repository, dataset)
    other = make_dataset(repository / "data" / "other")
    dvc_add(repository, other)
    committed = commit(repository)
    (other / "imgs" / "0.jpg").unlink()
    (other / "imgs" / "0.jpg").write_bytes(b"a change elsewhere")
    assert dataset_identity(str(repository), "HEAD", "data/mine") == before
    (dataset / "imgs" / "0.jpg").unlink()  # it may share its bytes with DVC's cache
    (dataset / "imgs" / "0.jpg").write_bytes(b"retouched")
    with pytest.raises(UserError, match=r"data/mine: .*0\.jpg changed since `dvc add`; run `dvc add` again and commit"):
        dataset_identity(str(repository), "HEAD", "data/mine")
    with pytest.raises(UserError, match="changed since `dvc add`"):
        fetch(str(repository), "HEAD", "data", tmp_path / "out")
    assert dataset_identity(str(repository), committed, "data/mine") == before
    (dataset / "imgs" / "0.jpg").unlink()
    with pytest.raises(UserError, match=r"data/mine: .*0\.jpg was removed since `dvc add`"):
        dataset_identity(str(repository), "HEAD", "data/mine")
    shutil.rmtree(dataset)
    assert dataset_identity(str(repository), "HEAD", "data/mine") == before  # not checked out is no change


def test_a_new_image_in_a_project_below_the_root_needs_dvc_add(repository: Path, tmp_path: Path) -> None:
    project = repository / "teams" / "ours"
    project.mkdir(parents=True)
    init_dvc(project, tmp_path / "remote", subdir=True)
    dataset = make_dataset(project / "mine")
    dvc_add(project, dataset)
    commit(repository)
    (dataset / "imgs" / "new.jpg").write_bytes(b"new")
    for address, path in ((project, "mine"), (repository, "teams/ours/mine"), (repository, "teams")):
        with pytest.raises(UserError, match=r"new\.jpg changed since `dvc add`"):
            dataset_identity(str(address), "HEAD", path)


def test_log_lines_of_dvc_hide_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    for handler in logging.getLogger("dvc").handlers:
        monkeypatch.setattr(handler, "stream", shown)
    with quiet_dvc():
        logging.getLogger("dvc.repo").warning("cannot reach %s", "https://me:s3cret@host/data")
    assert "cannot reach https://***@host/data" in shown.getvalue()


def test_head_is_refused_while_new_data_or_an_annotation_is_not_committed(repository: Path, tmp_path: Path) -> None:
    init_dvc(repository, tmp_path / "remote")
    commit(repository)
    dataset = make_dataset(repository / "mine")
    dvc_add(repository, dataset / "imgs")
    with pytest.raises(UserError, match="not committed"):
        dataset_identity(str(repository), "HEAD", "mine")
    commit(repository)
    (dataset / "notes.txt").write_text("a file that Git does not know changes nothing")
    before = dataset_identity(str(repository), "HEAD", "mine")
    assert before == dataset_identity(str(repository), "main", "mine")
    (dataset / "reid_raw.json").write_text("[2]")
    with pytest.raises(UserError, match="not committed"):
        dataset_identity(str(repository), "HEAD", "mine")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_a_repository_of_another_user_is_one_readable_line(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "one.jpg").write_bytes(b"one")
    create_data_repository(tmp_path / "repository")
    version = commit_dataset(tmp_path / "repository", tmp_path / "people", "Add people")
    for path in (tmp_path / "repository", *(tmp_path / "repository").rglob("*")):
        os.chown(path, 10001, 10001, follow_symlinks=False)
    with pytest.raises(UserError, match=r"not owned by current user; .*safe\.directory") as caught:
        fetch(version.repository, version.revision, version.path, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_private_repository_says_that_it_asked_for_credentials(tmp_path: Path) -> None:
    class Private(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Private) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/private.git"
        with pytest.raises(UserError) as caught:
            fetch(address, "main", "people", tmp_path / "out")
        server.shutdown()
    reason = "cannot be reached or is not a Git repository: No valid credentials provided"
    assert str(caught.value) == f"{address}: {reason}"
    assert "\n" not in str(caught.value)
