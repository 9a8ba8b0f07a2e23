"""The commands of the group "platform" as a person runs them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from personsearch.cli import main
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.schema import HEAD
from tests.audit import write_earlier_log


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["personsearch", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_status_and_down_where_nothing_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path))
    assert run(monkeypatch, "status", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "services": {},
        "promoter": "not running",
        "standbys": 0,
        "live": "",
        "builds": [],
        "streams": {},
        "problems": ["no service was started; run `personsearch up`"],
    }
    assert run(monkeypatch, "down", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": []}


READING = (
    *(["gallery", "show"], ["gallery", "erase", "--camera", "gate", "--yes"], ["search", "red"], ["keys", "list"]),
    *(["keys", "revoke", "ann"], ["index"], ["promote", "1"], ["rollback"], ["audit", "verify"]),
)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_mistyped_database_is_named_and_not_made(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PERSONSEARCH_DATABASE", f"sqlite:///{tmp_path}/galery/rows.db")
    assert run(monkeypatch, *command) == 2
    assert f"{tmp_path}/galery/rows.db: no such database; PERSONSEARCH_DATABASE" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_models_or_a_search_makes_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    assert run(monkeypatch, "models", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"versions": []}
    monkeypatch.setenv("PERSONSEARCH_MLFLOW_URI", f"sqlite:///{tmp_path}/mlfow.db")
    assert run(monkeypatch, "models") == 2
    assert f"{tmp_path}/mlfow.db: no such database; PERSONSEARCH_MLFLOW_URI" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    gallery_in(tmp_path / "home" / "gallery")
    assert run(monkeypatch, "search", "red") == 2
    assert "milvus.db: no index; `personsearch index` makes one" in capsys.readouterr().err
    assert not (tmp_path / "home" / "milvus.db").exists()


def test_migrate_prepares_a_server_once(
    new_postgresql: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path))
    monkeypatch.setenv("PERSONSEARCH_DATABASE", new_postgresql())
    assert run(monkeypatch, "gallery", "show") == 2
    assert "`personsearch migrate` prepares it" in capsys.readouterr().err
    for before in ("empty", HEAD):
        assert run(monkeypatch, "migrate", "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["schema"], told["before"]) == (HEAD, before)
    assert run(monkeypatch, "gallery", "show", "--json") == 0
    assert json.loads(capsys.readouterr().out)["crops"] == 0
    assert not (tmp_path / "gallery" / "gallery.db").exists()


def test_migrate_carries_the_audit_log_of_an_earlier_version(
    database_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path))
    monkeypatch.setenv("PERSONSEARCH_DATABASE", database_address)
    head = write_earlier_log(tmp_path / "audit.jsonl", [{"query": "red"}, {"query": "blue"}])
    for carried in (2, 0):
        assert run(monkeypatch, "migrate", "--json") == 0
        assert json.loads(capsys.readouterr().out)["audit_records"] == carried
    assert run(monkeypatch, "audit", "verify", "--head", head.hash, "--json") == 0
    assert json.loads(capsys.readouterr().out)["records"] == 2


def test_cache_tells_its_size_and_is_pruned_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "personsearch" / "pixels"
    pixels = folder / "0123456789abcdef-train-32x16" / "pixels.npy"
    pixels.parent.mkdir(parents=True)
    pixels.write_bytes(bytes(2**22))
    assert run(monkeypatch, "cache", "--days", "0", "--json") == 0
    expected = {"folder": str(folder), "caches": 1, "gib": 0.004, "removed": 0}
    assert json.loads(capsys.readouterr().out) == expected
    assert run(monkeypatch, "cache", "--prune", "--gib", "0.001", "--json") == 0
    assert json.loads(capsys.readouterr().out) == expected | {"caches": 0, "gib": 0.0, "removed": 1}


NOBODY = """
import pwd, sys

def absent(uid):
    raise KeyError(uid)

pwd.getpwuid = absent
from personsearch.cli import main
main()
"""


@pytest.mark.parametrize("home", [None, "/proc"])
@pytest.mark.parametrize("command", [["models", "--json"], ["cache", "--json"], ["status", "--json"]])
def test_a_user_without_a_home_or_with_one_that_cannot_be_written(
    tmp_path: Path, home: str | None, command: list[str]
) -> None:
    """As a container has them that runs under a number of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    environment |= {"PERSONSEARCH_HOME": str(tmp_path / "installation")} | ({"HOME": home} if home else {})
    ran = subprocess.run(
        [sys.executable, "-c", NOBODY, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ran.stderr
    assert json.loads(ran.stdout)
