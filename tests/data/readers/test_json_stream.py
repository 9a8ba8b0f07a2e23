"""Streaming gives what `json.loads` gives, wherever the window ends, and one readable line where that fails."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personsearch.data.readers import json_stream
from personsearch.data.readers.json_stream import stream_items
from personsearch.errors import UserError

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ON_DISK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ON_DISK
@given(value=st.lists(ANY_JSON) | st.dictionaries(st.text(), ANY_JSON), chunk=st.integers(1, 50), spaced=st.booleans())
def test_streams_what_json_loads(tmp_path: Path, value: object, chunk: int, spaced: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value, indent=2 if spaced else None), encoding="utf-8")
    with patch.object(json_stream, "CHUNK_CHARACTERS", chunk):
        items = list(stream_items(path))
    assert items == (list(value.values()) if isinstance(value, dict) else value)


def json_or_lines(text: str) -> object:
    """What `json` makes of a text as a whole, else of each of its lines if the first two are objects, else None."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        lines = [json.loads(line) for line in text.strip(" \n").split("\n") if line.strip(" ")]
    except ValueError:
        return None
    return lines if len(lines) > 1 and all(isinstance(line, dict) for line in lines[:2]) else None


@ON_DISK
@given(text=st.text(alphabet='[]{}",:0123e.-\\ntrulfaé \n', max_size=40), chunk=st.integers(1, 9))
def test_any_text_is_read_as_json_reads_it_or_refused(tmp_path: Path, text: str, chunk: int) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    expected = json_or_lines(text)
    with patch.object(json_stream, "CHUNK_CHARACTERS", chunk):
        if isinstance(expected, list):
            assert list(stream_items(path)) == expected
        elif not isinstance(expected, dict):
            with pytest.raises(UserError, match=r"a\.json: not valid JSON"):
                list(stream_items(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "after item 0: [ or {"),
        (b"[1, 2", "after item 1|after item 2"),
        (b"[1, 2] x", "more text"),
        (b'{"a": 1, 2: 3}', "key"),
        (b"[\xff]", "UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "digits"),
        (b'"text"', "not valid JSON"),
    ],
)
def test_broken_files_give_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=message.replace("[ or {", r"\[ or \{")) as caught:
        list(stream_items(tmp_path / "a.json"))
    assert "\n" not in str(caught.value)


@ON_DISK
@given(rows=st.lists(st.dictionaries(st.text(), ANY_JSON), min_size=2), chunk=st.integers(1, 50))
def test_json_lines_are_read_row_by_row(tmp_path: Path, rows: list[dict[str, object]], chunk: int) -> None:
    path = tmp_path / "a.json"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    with patch.object(json_stream, "CHUNK_CHARACTERS", chunk):
        assert list(stream_items(path)) == rows


def test_a_broken_line_is_named_by_the_items_before_it(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"id": 1}\n{"id": 2}\n{"id": \n')
    with pytest.raises(UserError, match="not valid JSON after item 2"):
        list(stream_items(tmp_path / "a.json"))


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert list(stream_items(tmp_path / "a.json")) == [1]
