"""The colour-swap test on captions and on an encoder that is colour-blind by construction."""

import numpy as np
import pytest

from personsearch.data.records import ImageRecord
from personsearch.evaluation.colour_swap import colour_swap_accuracy, swap_colour
from personsearch.evaluation.embeddings import SplitEmbeddings


@pytest.mark.parametrize(
    ("caption", "swapped"),
    [
        ("a man in a red coat and a blue hat", "a man in a green coat and a blue hat"),
        ("Black shoes.", "white shoes."),
        ("a bored person", None),
        ("", None),
    ],
)
def test_the_first_colour_is_exchanged(caption: str, swapped: str | None) -> None:
    assert swap_colour(caption) == swapped


class Encoder:
    """Red is the first axis, green the second; `blind` sees no colour."""

    def __init__(self, *, blind: bool) -> None:
        self.blind = blind

    def encode_texts(self, texts):
        vectors = [[1.0, 1.0] if self.blind else [float("red" in t), float("green" in t)] for t in texts]
        return np.array(vectors, dtype=np.float32)


@pytest.mark.parametrize(("blind", "expected"), [(False, 100.0), (True, 0.0)])
def test_only_a_model_that_sees_colours_passes(blind: bool, expected: float) -> None:
    captions = ["red coat", "a person", "green coat"]
    encoder = Encoder(blind=blind)
    images = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    records = [ImageRecord(str(i), "", i, "test", [caption], "t") for i, caption in enumerate(captions)]
    embeddings = SplitEmbeddings(records, captions, np.arange(3), images, encoder.encode_texts(captions))
    assert colour_swap_accuracy(encoder, embeddings, 10) == expected
    assert colour_swap_accuracy(encoder, SplitEmbeddings([], ["x"], np.arange(1), images, images), 10) is None
