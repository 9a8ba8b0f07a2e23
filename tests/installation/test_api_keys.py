"""Keys are kept as hashes, for as long as they were made for, and the same key is found again."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.installation import api_keys
from personsearch.installation.api_keys import (
    hash_key,
    keys_from_text,
    local_key,
    make_key,
    name_among,
    open_keys,
)
from personsearch.installation.settings import Settings
from personsearch.integrations.database.keys import DatabaseKeys, StoredKey

NOW = datetime.now(UTC)


@pytest.fixture
def settings(tmp_path: Path, database_address: str) -> Settings:
    return Settings(home=tmp_path / "home", database=database_address)


def accepted(settings: Settings, key: str, *, now: datetime | None = None) -> str | None:
    known = open_keys(settings).find(hash_key(key))
    return known.name if known is not None and known.is_accepted(now or datetime.now(UTC)) else None


def test_the_local_key_is_made_once_and_accepted(settings: Settings) -> None:
    key = local_key(settings)
    assert local_key(settings) == key
    assert str(accepted(settings, key)).startswith("local@")
    assert accepted(settings, key + "x") is None
    assert (settings.home / "api_key").stat().st_mode & 0o777 == 0o600


def test_no_file_holds_a_key_but_its_owners(tmp_path: Path) -> None:
    key = local_key(Settings(home=tmp_path))
    held = {path.name for path in tmp_path.rglob("*") if path.is_file() and key.encode() in path.read_bytes()}
    assert held == {"api_key"}


def test_a_lost_local_key_is_replaced_and_no_longer_accepted(settings: Settings) -> None:
    old = local_key(settings)
    (settings.home / "api_key").unlink()
    new = local_key(settings)
    assert (accepted(settings, old), accepted(settings, new) is not None) == (None, True)


def test_a_key_is_accepted_until_it_expires_or_is_revoked(settings: Settings) -> None:
    keys = open_keys(settings)
    short, long = make_key(keys, "visitor", days=0.5), make_key(keys, "team 7")
    assert (accepted(settings, short), accepted(settings, long)) == ("visitor", "team 7")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert (accepted(settings, short, now=tomorrow), accepted(settings, long, now=tomorrow)) == (None, "team 7")
    assert keys.revoke("team 7", NOW) == 1
    assert keys.revoke("team 7", NOW) == 0
    assert accepted(settings, long) is None
    assert [key.name for key in keys.all()] == ["visitor", "team 7"]


def test_a_name_means_one_key_at_a_time(settings: Settings) -> None:
    keys = open_keys(settings)
    first = make_key(keys, "team 7")
    with pytest.raises(UserError, match="'team 7': there is one already; `personsearch keys revoke` ends it"):
        make_key(keys, "team 7")
    keys.revoke("team 7", datetime.now(UTC))
    second = make_key(keys, "team 7")
    assert (accepted(settings, first), accepted(settings, second)) == (None, "team 7")


@pytest.mark.parametrize("name", ["", " team", "a\n", "x" * 65])
def test_a_key_needs_a_printable_name(settings: Settings, name: str) -> None:
    with pytest.raises(UserError, match="1 to 64 printable characters"):
        make_key(open_keys(settings), name)
    with pytest.raises(UserError, match="beyond the calendar"):
        make_key(open_keys(settings), "team", days=1e9)


def test_the_keys_of_an_earlier_version_are_taken_over(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.home.mkdir(exist_ok=True)
    entries = [
        {"name": name, "sha256": hash_key(f"{name}-key-of-{n}")} for n, name in enumerate(("local", "team", "team"))
    ]
    file = settings.home / "api_keys.json"
    file.write_text(json.dumps(entries))
    (settings.home / "api_key").write_text("local-key-of-0\n")
    assert local_key(settings) == "local-key-of-0"
    assert [accepted(settings, key) for key in ("local-key-of-0", "team-key-of-1", "team-key-of-2")] == [
        "local",
        "team",
        "team",
    ]
    assert not file.exists()
    assert "its keys are in the database now" in caplog.text
    assert open_keys(settings).revoke("team", datetime.now(UTC)) == 2


def test_two_processes_may_take_the_file_over_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.home.mkdir(exist_ok=True)
    file = settings.home / "api_keys.json"
    read, take_over = api_keys._read_file, DatabaseKeys.take_over

    def overtaken_before(path: Path) -> list[StoredKey]:
        path.unlink()
        return read(path)

    def overtaken_after(keys: DatabaseKeys, found: list[StoredKey]) -> None:
        take_over(keys, found)
        file.unlink()

    for owner, name, overtaken in (
        (api_keys, "_read_file", overtaken_before),
        (DatabaseKeys, "take_over", overtaken_after),
    ):
        file.write_text(json.dumps([{"name": "team", "sha256": hash_key("team-key-of-1")}]))
        with monkeypatch.context() as other:
            other.setattr(owner, name, overtaken)
            open_keys(settings)
    assert accepted(settings, "team-key-of-1") == "team"


def test_a_damaged_file_is_named_and_kept(settings: Settings) -> None:
    settings.home.mkdir(exist_ok=True)
    (settings.home / "api_keys.json").write_text('{"local": 1}')
    with pytest.raises(UserError, match=r"api_keys\.json"):
        open_keys(settings)
    assert (settings.home / "api_keys.json").exists()


def test_keys_of_the_environment_are_named_by_their_hash() -> None:
    first, second = keys_from_text(" first-long-key-0001 ,second-long-key-0002,")
    assert name_among([first, second], "second-long-key-0002") == second.name
    assert name_among([first, second], "") is None
    assert name_among([first, second], "\ud800") is None
    assert first.name != second.name
    assert "first" not in first.name


def test_a_guessable_key_is_refused() -> None:
    with pytest.raises(UserError, match="6 characters, at least 16 expected"):
        keys_from_text("secret")
