"""Keys are kept as hashes, for their owner's eyes, and the same key is found again."""

from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.installation.api_keys import ApiKeys, keys_from_text, local_key, read_keys


def test_the_local_key_is_made_once_and_accepted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = local_key(home)
    assert local_key(home) == key
    assert ApiKeys(read_keys(home)).name_of(key) == "local"
    assert ApiKeys(read_keys(home)).name_of(key + "x") is None
    assert key not in (home / "api_keys.json").read_text()
    assert {path.stat().st_mode & 0o777 for path in home.iterdir()} == {0o600}


def test_a_lost_local_key_is_replaced_and_no_longer_accepted(tmp_path: Path) -> None:
    old = local_key(tmp_path)
    (tmp_path / "api_key").unlink()
    new = local_key(tmp_path)
    keys = ApiKeys(read_keys(tmp_path))
    assert (keys.name_of(old), keys.name_of(new), len(keys)) == (None, "local", 1)


def test_keys_of_the_environment_are_named_by_their_hash() -> None:
    first, second = keys_from_text(" first-long-key-0001 ,second-long-key-0002,")
    keys = ApiKeys([first, second])
    assert keys.name_of("second-long-key-0002") == second.name
    assert keys.name_of("") is None
    assert keys.name_of("\ud800") is None
    assert first.name != second.name
    assert "first" not in first.name


def test_a_guessable_key_is_refused() -> None:
    with pytest.raises(UserError, match="6 characters, at least 16 expected"):
        keys_from_text("secret")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "api_keys.json").write_text('{"local": 1}')
    with pytest.raises(UserError, match=r"api_keys\.json"):
        read_keys(tmp_path)
