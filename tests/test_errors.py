"""What may be cut in a message says how long it was; what a person copies is never cut."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from personsearch.config import MOST_PROBLEMS, Config, describe_validation_error
from personsearch.encoders.onnx import load_graph
from personsearch.errors import LONGEST_QUOTE, UserError, shortened


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("a" * 9, "a" * 9), ("a" * 10, "aaaaaaaaa… (10 characters)"), ("two\nlines", "two lines")],
)
def test_only_what_is_long_is_cut(text: str, expected: str) -> None:
    assert shortened(text, 9) == expected


class Vectors(Config):
    name: int
    rows: list[int]


def test_a_key_is_never_cut_and_a_long_value_says_its_length() -> None:
    with pytest.raises(ValidationError) as caught:
        Vectors.model_validate({"name": "x" * 2 * LONGEST_QUOTE, "rows": ["no"] * (MOST_PROBLEMS + 7)})
    message = describe_validation_error(caught.value, Vectors)
    assert message.startswith("name='xxx")
    assert f"({2 * LONGEST_QUOTE + 2} characters)" in message
    assert f"rows.{MOST_PROBLEMS - 2}='no'" in message
    assert message.endswith("; and 8 more")


def test_a_long_path_is_whole_where_an_engine_fails(tmp_path: Path) -> None:
    path = tmp_path / ("deep-" * 40) / ("er-" * 60) / "image_encoder.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no graph")
    with pytest.raises(UserError) as caught:
        load_graph(path, 1)
    assert str(caught.value).startswith(f"{path}: ONNX Runtime cannot load it: ")
