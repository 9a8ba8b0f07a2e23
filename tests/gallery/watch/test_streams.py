"""Which streams are accepted, and that a password is nowhere but in the address that FFmpeg gets."""

from pathlib import Path
from typing import Any

import pytest

from personsearch.errors import UserError
from personsearch.gallery.watch.streams import StreamConfig, StreamsConfig

ADDRESS = "rtsp://10.0.0.7:554/stream1"


def stream(**values: Any) -> StreamConfig:
    return StreamsConfig.of("gate 3", {"address": ADDRESS, **values})["gate 3"]


def test_a_password_comes_from_a_variable_or_a_file_and_is_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE3", "p@ss/w:rd")
    (tmp_path / "secret").write_text("other\n")
    assert stream().address_with_credentials() == ADDRESS
    assert stream(user="viewer").address_with_credentials() == "rtsp://viewer@10.0.0.7:554/stream1"
    named = stream(user="viewer", password_env="GATE3")
    assert named.address_with_credentials() == "rtsp://viewer:p%40ss%2Fw%3Ard@10.0.0.7:554/stream1"
    assert "p@ss" not in f"{named!r} {named.model_dump_json()}"
    filed = stream(user="a b", password_file=tmp_path / "secret")
    assert filed.address_with_credentials() == "rtsp://a%20b:other@10.0.0.7:554/stream1"
    (tmp_path / "secret").write_text("rotated")
    assert ":rotated@" in filed.address_with_credentials()


def test_a_missing_password_says_where_it_was_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATE3", raising=False)
    with pytest.raises(UserError, match="the variable GATE3 is not set"):
        stream(user="viewer", password_env="GATE3").address_with_credentials()
    with pytest.raises(UserError, match="secret: no such file or folder; the password of rtsp://10"):
        stream(user="viewer", password_file=tmp_path / "secret").address_with_credentials()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"address": "rtsp://viewer:hunter2@10.0.0.7/stream1"}, "holds a user or a password"),
        ({"address": "rtsp://hunter2@10.0.0.7/stream1"}, "holds a user or a password"),
        ({"address": "rtsp://viewer:hunter2@[10.0.0.7/stream1"}, "an address like rtsp://"),
        ({"address": "file:///etc/passwd"}, "an address like rtsp://"),
        ({"address": "rtsp:///stream1"}, "an address like rtsp://"),
        ({"password_env": "GATE3"}, "a password without a user"),
        ({"user": "a", "password_env": "A", "password_file": "b"}, "one of them expected"),
        ({"clock": "theirs"}, "'ours' or 'camera' expected"),
        ({"adress": ADDRESS}, "did you mean address?"),
    ],
)
def test_a_wrong_stream_is_refused_without_showing_a_password(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError) as refused:
        stream(**values)
    assert reason in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["", " gate", "x" * 81])
def test_a_camera_needs_a_name_that_ids_can_begin_with(name: str) -> None:
    with pytest.raises(UserError, match="characters expected"):
        StreamsConfig.of(name, {"address": ADDRESS})
