"""The commands of the group "keys" as a person runs them."""

import json
from pathlib import Path

import pytest

from personsearch.cli import main
from personsearch.installation.api_keys import hash_key


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["personsearch", "keys", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_key_is_shown_once_listed_without_itself_and_revoked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "create", "team 7", "--days", "30", "--json") == 0
    key = json.loads(capsys.readouterr().out)["key"]
    assert run(monkeypatch, "create", "visitor", "--days", "1e-9", "--json") == 0
    capsys.readouterr()
    assert run(monkeypatch, "list", "--json") == 0
    out = capsys.readouterr().out
    [team, visitor] = json.loads(out)["keys"]
    assert key not in out
    assert (team["name"], team["state"], team["hash"]) == ("team 7", "accepted", hash_key(key)[:8])
    assert (visitor["state"], visitor["revoked"]) == ("expired", None)
    assert run(monkeypatch, "revoke", "team 7") == 0
    assert run(monkeypatch, "revoke", "team 7") == 2
    assert "none of this name is accepted" in capsys.readouterr().err
    assert run(monkeypatch, "list") == 0
    table = capsys.readouterr().out
    assert "revoked" in table
    assert "–" in table


def test_a_key_for_a_camera_allows_sending_crops_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "create", "gate 3", "--scope", "ingest", "--json") == 0
    assert run(monkeypatch, "create", "both", "--scope", "ingest", "--scope", "search", "--json") == 0
    assert run(monkeypatch, "create", "team 7", "--json") == 0
    capsys.readouterr()
    assert run(monkeypatch, "list", "--json") == 0
    scopes = {key["name"]: key["scopes"] for key in json.loads(capsys.readouterr().out)["keys"]}
    assert scopes == {"gate 3": "ingest", "both": "search, ingest", "team 7": "search"}
    assert run(monkeypatch, "create", "x", "--scope", "erase") != 0


def test_an_empty_list_says_how_to_make_a_key_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "list") == 0
    assert "keys create NAME" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("days", ["0", "-1", "-0.0", "nan"])
def test_a_key_that_would_never_be_accepted_is_refused(
    days: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "create", "visitor", f"--days={days}") == 2
    assert "days; more than 0 expected" in capsys.readouterr().err
    assert run(monkeypatch, "list") == 0
    assert "No key was made yet" in capsys.readouterr().out
