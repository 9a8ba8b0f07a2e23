"""What may be cut in a message says how long it was; what a person copies is never cut."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from personsearch.config import MOST_PROBLEMS, Config, describe_validation_error
from personsearch.encoders.onnx import load_graph
from personsearch.errors import LONGEST_QUOTE, UserError, check_exists, explain, shortened
from personsearch.files import replacing_folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("a" * 9, "a" * 9), ("a" * 10, "aaaaaaaaa… (10 characters)"), ("two\nlines", "two lines")],
)
def test_only_what_is_long_is_cut(text: str, expected: str) -> None:
    assert shortened(text, 9) == expected


def test_a_word_longer_than_a_file_name_is_cut_and_a_path_is_not() -> None:
    assert str(UserError(f"key {'x' * 5000!r}: 64 expected")) == f"key 'x{'x' * 58}… (5003 characters) 64 expected"
    path = "/".join(["", "x" * 255, "y" * 255, "z.txt"])
    assert str(UserError(f"{path}: no such file")) == f"{path}: no such file"


def test_a_name_too_long_for_its_file_system_is_said(tmp_path: Path) -> None:
    too_long = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="too long") as caught:
        too_long.exists()
    assert explain(caught.value) == "a name longer than its file system takes"


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


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(OSError) as caught:  # noqa: PT011 (each case has its own)
        action()
    return explain(caught.value)


def test_what_the_system_refuses_is_told_in_our_words(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("")
    link.symlink_to(tmp_path / "gone")
    dangling = f"a link to {tmp_path / 'gone'}, which does not exist"
    assert refused((tmp_path / "absent").read_text) == "no such file or folder"
    assert refused(tmp_path.read_text) == "is a folder; a file expected"
    assert refused(lambda: file.mkdir(exist_ok=True)) == "is a file; a folder expected"
    assert refused((file / "below").read_text) == "is, or lies below, a file; a folder expected"
    assert refused(lambda: link.mkdir(exist_ok=True)) == dangling
    assert refused(lambda: (link / "below").mkdir(parents=True, exist_ok=True)) == dangling
    assert refused(link.read_text) == dangling
    assert explain(OSError("nothing known")) == "nothing known"


def test_a_path_where_nothing_is_says_what_is_expected(tmp_path: Path) -> None:
    check_exists(tmp_path, "a folder")
    with pytest.raises(UserError, match=r"absent: no such file or folder; a bundle expected$"):
        check_exists(tmp_path / "absent", "a bundle")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"link: a link to .*gone, which does not exist; a bundle expected$"):
        check_exists(tmp_path / "link", "a bundle")
    with (
        pytest.raises(UserError, match=r"link: a link to .*gone, which does not exist$"),
        replacing_folder(tmp_path / "link"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["link"]
