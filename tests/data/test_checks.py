"""The checks on single values, as tables of cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.data import checks
from personsearch.data.checks import Refused


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ("cam_a/1.jpg", "cam_a/1.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        ("wäg 1.jpg", "wäg 1.jpg"),
        ("..hidden/1.jpg", "..hidden/1.jpg"),
    ],
)
def test_image_path_accepts(value: str, clean: str) -> None:
    assert checks.image_path(value) == clean


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("../a.jpg", "image-path-outside"),
        ("a/../../b.jpg", "image-path-outside"),
        ("/etc/passwd", "image-path-outside"),
        ("..\\..\\a.jpg", "image-path-outside"),
        ("C:\\a.jpg", "image-path-outside"),
        ("", "row-malformed"),
        ("a\0.jpg", "row-malformed"),
        ("a\n.jpg", "row-malformed"),
        (None, "row-malformed"),
        (7, "row-malformed"),
        (["a.jpg"], "row-malformed"),
    ],
)
def test_image_path_refuses(value: object, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        checks.image_path(value)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("value", "split"),
    [("train", "train"), ("TEST", "test"), (" val ", "val"), ("valid", "val"), ("validation", "val")],
)
def test_split_name(value: str, split: str) -> None:
    assert checks.split_name(value) == split


@pytest.mark.parametrize("value", ["", "training", None, 1, ["train"]])
def test_other_splits_are_refused(value: object) -> None:
    with pytest.raises(Refused, match="train, val or test"):
        checks.split_name(value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0),
        ("0042", 42),
        (7.0, 7),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (-1, None),
        (7.5, None),
        (float("nan"), None),
        (True, None),
        ("seven", None),
        ("٣", None),
        ([], None),
    ],
)
def test_whole_number(value: object, number: int | None) -> None:
    assert checks.whole_number(value) == number


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ("  a  man\n\twalks ", "a man walks"),
        ("a 🙂 👩‍🦰 man", "a 🙂 👩‍🦰 man"),
        ("a\x00man\x1b[31m", "a man [31m"),
        ("a \ud83d man", "a man"),
        ("a cafe\u0301 owner", "a café owner"),
        ("一个男人", "一个男人"),
    ],
)
def test_clean_caption(value: str, clean: str) -> None:
    assert checks.clean_caption(value, 10) == clean


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "caption-empty"),
        (" \t\n\x00", "caption-empty"),
        ("word " * 11, "caption-too-long"),
        ("x" * 500, "caption-too-long"),
        (None, "caption-not-text"),
        (3, "caption-not-text"),
        ({"text": "a"}, "caption-not-text"),
    ],
)
def test_bad_captions_are_refused(value: object, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        checks.clean_caption(value, 10)
    assert caught.value.reason == reason


@given(st.text())
def test_a_clean_caption_is_clean_and_can_be_written(text: str) -> None:
    try:
        caption = checks.clean_caption(text, 20)
    except Refused:
        return
    assert checks.clean_caption(caption, 20) == caption
    assert caption.encode("utf-8")
    assert "\n" not in caption


@pytest.mark.parametrize(
    ("caption", "kinds"),
    [
        ("A man's coat; he walks (slowly) at 50% speed.", []),
        ("He wears <br> a coat", ["caption-holds-code"]),
        ("see https://example.org", ["caption-holds-code"]),
        ("une élégante", ["caption-not-english"]),
        ("🙂", []),
    ],
)
def test_caption_remarks(caption: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in checks.caption_remarks(caption)] == kinds


@pytest.mark.parametrize(
    ("caption", "cut"),
    [
        ("word " * 75, False),
        ("word " * 76, True),
        ("a man, tall; " * 15, False),  # 75 pieces, because signs count too
        ("a man, tall; " * 15 + "he", True),
        ("1" * 76, True),
        ("!" * 200, False),
        ("x" * 500, False),
        ("人" * 100, False),
    ],
)
def test_captions_that_clip_surely_cuts(caption: str, cut: bool) -> None:
    assert checks.is_cut_by_clip(caption) == cut
