"""R@1 from batches against the metrics of the whole matrix, ties and people who are not there included."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.compression.probes.walk import Scores
from personsearch.data.records import ImageRecord
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.metrics import retrieval_metrics
from personsearch.models.architecture import Side


def split_of(seed: int, images: int = 12, captions: int = 20) -> SplitEmbeddings:
    """Embeddings of few different numbers, so that many similarities are equal; the third person has no caption."""
    numbers = np.random.default_rng(seed)
    people = [0, 1, *numbers.integers(0, 4, images - 2).tolist()]
    records = [ImageRecord(str(i), "", person, "val", [], "tiny") for i, person in enumerate(people)]
    image_GD, text_QD = (numbers.integers(-1, 2, (n, 3)).astype(np.float32) for n in (images, captions))
    return SplitEmbeddings(records, [""] * captions, numbers.integers(0, images, captions), image_GD, text_QD)


def filled(side: Side, split: SplitEmbeddings, size: int) -> Scores:
    """Two probes: the embeddings of the split, and their opposites. Captions arrive in another order."""
    scores = Scores(side, 2, split)
    features = split.text_QD if side == "text" else split.image_GD
    order = np.arange(len(features))[::-1] if side == "text" else np.arange(len(features))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        scores.add(0, rows, features[rows])
        scores.add(1, rows, -features[rows])
    return scores


@given(st.integers(0, 99), st.integers(1, 25), st.sampled_from(["text", "image"]))
def test_r1_is_that_of_the_metrics(seed: int, size: int, side: Side) -> None:
    split = split_of(seed)
    wanted = [
        retrieval_metrics(sign * split.text_QD, split.image_GD, split.caption_ids, split.image_ids).r1
        for sign in (1, -1)
    ]
    assert filled(side, split, size).r1().tolist() == pytest.approx(wanted)


def test_a_caption_whose_person_is_not_in_the_gallery_does_not_count() -> None:
    records = [ImageRecord("0", "", 5, "val", [], "tiny")]
    one = np.ones((1, 1), np.float32)
    split = SplitEmbeddings(records, ["", ""], np.array([0, 0]), one, np.ones((2, 1), np.float32))
    scores = Scores("text", 1, split)
    scores._caption_ids_Q = np.array([5, 6])
    scores.add(0, np.array([0, 1]), split.text_QD)
    assert scores.r1().tolist() == [100.0]


def test_a_walk_goes_on_from_what_was_saved_of_it_and_of_no_other(tmp_path: Path) -> None:
    split, path = split_of(3), tmp_path / "walk.npz"
    whole = filled("image", split, 4)
    half = Scores("image", 2, split)
    assert half.restore(path, "walk a") == 0
    for probe, sign in ((0, 1), (1, -1)):
        half.add(probe, np.arange(4), sign * split.image_GD[:4])
    half.save(path, "walk a", 1)
    assert Scores("image", 2, split).restore(path, "walk b") == 0
    rest = Scores("image", 2, split)
    assert rest.restore(path, "walk a") == 1
    for start in (4, 8):
        for probe, sign in ((0, 1), (1, -1)):
            rest.add(probe, np.arange(start, start + 4), sign * split.image_GD[start : start + 4])
    assert rest.right_PQ.tolist() == whole.right_PQ.tolist()
    assert rest.best_PQ.tolist() == whole.best_PQ.tolist()
