"""Wrong captions on purpose: how many, which, and that nothing is lost."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from personsearch.data.records import ImageRecord
from personsearch.data.sampler import shuffle_captions


def records(images: int, captions: int = 2) -> list[ImageRecord]:
    """Every caption and its translation tell whose they are; two images show each person."""
    everyone = []
    for image in range(images):
        texts = [f"{image}/{number}" for number in range(captions)]
        back = [f"bt {text}" for text in texts]
        everyone.append(ImageRecord(str(image), f"{image}.png", image // 2, "train", texts, "tiny", captions_bt=back))
    return everyone


def moved(everyone: list[ImageRecord]) -> set[tuple[int, int]]:
    """The places whose caption is not their own."""
    return {
        (image, number)
        for image, record in enumerate(everyone)
        for number, text in enumerate(record.captions)
        if text != f"{image}/{number}"
    }


def test_nearly_the_share_is_wrong() -> None:
    shuffled = shuffle_captions(records(500), 0.4, seed=0)
    assert 395 <= len(moved(shuffled)) <= 400
    wrong = [
        text for record in shuffled for text in record.captions if int(text.split("/")[0]) // 2 != record.person_id
    ]
    assert 390 <= len(wrong) <= 400


@given(st.integers(1, 30), st.integers(1, 3), st.floats(0, 0.99), st.integers(0, 100))
def test_nothing_is_lost_and_translations_go_along(images: int, captions: int, share: float, seed: int) -> None:
    before = records(images, captions)
    after = shuffle_captions(before, share, seed)
    assert Counter(t for r in after for t in r.captions) == Counter(t for r in before for t in r.captions)
    assert [r.captions_bt for r in after] == [[f"bt {text}" for text in r.captions] for r in after]
    assert [(r.image_id, r.person_id) for r in after] == [(r.image_id, r.person_id) for r in before]
    assert len(moved(after)) <= round(share * images * captions)


def test_the_seed_decides_and_smaller_shares_lie_within_larger_ones() -> None:
    everyone = records(200)
    assert shuffle_captions(everyone, 0.0, seed=1) == everyone
    assert shuffle_captions(everyone, 0.3, seed=1) == shuffle_captions(everyone, 0.3, seed=1)
    some, more = (moved(shuffle_captions(everyone, share, seed=1)) for share in (0.1, 0.5))
    assert len(some - more) <= 2  # a caption that the larger shuffle happened to put back
    assert moved(shuffle_captions(everyone, 0.1, seed=2)) != some
