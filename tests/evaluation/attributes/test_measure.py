"""Attributes measured on invented vectors, in which a thing is or is not."""

import re
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from personsearch.data.facts.words import facts_in
from personsearch.data.records import ImageRecord
from personsearch.evaluation.attributes import swapped
from personsearch.evaluation.attributes.measure import AttributesConfig, measure_attributes
from personsearch.evaluation.attributes.questions import SHORT_QUERIES
from personsearch.evaluation.embeddings import SplitEmbeddings
from tests.hash_encoder import HashEncoder

THINGS = ("man", "woman", "backpack", "suitcase", "red upper")


class ReadingEncoder(HashEncoder):
    """Reads texts perfectly: one dimension for each thing, set if the text states it."""

    def __init__(self, blind_to: Sequence[str] = ()) -> None:
        super().__init__()
        self.blind_to = blind_to

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        stated = [facts_in(text) for text in texts]
        things = [[thing not in self.blind_to and facts.get(thing) is True for thing in THINGS] for facts in stated]
        return np.array(things, dtype=np.float32)


def split(encoder: ReadingEncoder, people: int, *, seed: int = 0, captions: bool = False) -> SplitEmbeddings:
    """Two images of each person; women are even, every third has a backpack, every fifth wears red."""
    numbers, records, vectors = np.random.default_rng(seed), [], []
    for person in range(people):
        woman, backpack, red = person % 2 == 0, person % 3 == 0, person % 5 == 0
        bag, colour = ("a backpack" if backpack else "a suitcase"), ("red" if red else "green")
        caption = f"a {'woman' if woman else 'man'} in a {colour} coat with {bag}"
        told = {"gender": "woman" if woman else "man", "upper_colour": colour, "bag": bag.removeprefix("a ")}
        for view in range(2):
            attributes = None if captions else repr(told).replace("'", '"')
            records.append(ImageRecord(f"{person}-{view}", "", person, "test", [caption], "x", attributes=attributes))
            shown = encoder.encode_texts([caption])[0] + numbers.normal(0, 0.01, len(THINGS))
            vectors.append(shown.astype(np.float32))
    texts = [record.captions[0] for record in records]
    return SplitEmbeddings(records, texts, np.arange(len(records)), np.array(vectors), encoder.encode_texts(texts))


@pytest.mark.parametrize("captions", [False, True])
def test_a_model_that_sees_everything(captions: bool) -> None:
    encoder = ReadingEncoder()
    figures = measure_attributes(AttributesConfig(), encoder, split(encoder, 36, captions=captions), None)
    assert figures is not None
    metrics = figures.metrics()
    assert metrics["attribute_auc_gender"] == metrics["attribute_probe_auc_gender"] == 1
    assert metrics["attribute_auc_backpack"] == 1
    assert metrics["attribute_swapped_gender"] == metrics["attribute_swapped_bag"] == 100
    assert (figures.images, figures.from_captions) == (72, 72 if captions else 0)
    woman = next(query for query in figures.queries if query.text == "a woman with a backpack")
    assert (woman.fitting, woman.known, woman.average_precision) == (12, 72, 100)
    assert woman.precision_at_10 == 100
    assert woman.base_rate == pytest.approx(100 * 12 / 72)
    assert woman.lift == pytest.approx(6)


def test_a_model_that_is_blind_to_one_thing() -> None:
    encoder = ReadingEncoder(blind_to=["man", "woman"])
    figures = measure_attributes(AttributesConfig(), encoder, split(encoder, 40), split(encoder, 40, seed=1))
    assert figures is not None
    metrics = figures.metrics()
    assert metrics["attribute_auc_gender"] == metrics["attribute_min_auc"] == 0.5
    assert metrics["attribute_probe_auc_gender"] < 0.7
    assert metrics["attribute_swapped_gender"] == 50
    assert metrics["attribute_auc_backpack"] == metrics["attribute_probe_auc_backpack"] == 1


def test_a_probe_can_see_what_words_do_not_reach() -> None:
    deaf = ReadingEncoder(blind_to=["man", "woman"])
    seeing = split(ReadingEncoder(), 24)
    figures = measure_attributes(AttributesConfig(), deaf, seeing, split(ReadingEncoder(), 24, seed=1))
    assert figures is not None
    assert (figures.groups[0].auc, figures.groups[0].probe_auc) == (0.5, 1.0)


def test_what_too_few_people_have_is_left_out_and_named() -> None:
    encoder = ReadingEncoder()
    figures = measure_attributes(AttributesConfig(fewest_people=5), encoder, split(encoder, 12), None)
    assert figures is not None
    asked = {query.text for query in figures.queries}
    assert "a man" in asked
    reasons = {query.text: query.reason for query in figures.left_out}
    assert reasons["a person with a backpack"] == "4 people fit and 8 do not; 5 of each needed"
    assert len(asked) + len(reasons) == len(SHORT_QUERIES)
    assert "attribute_auc_backpack" not in figures.metrics()
    assert figures.groups[0].probe_auc is None  # six people in each half, three of each gender


def test_an_option_switches_each_cost_off() -> None:
    encoder = ReadingEncoder()
    config = AttributesConfig(swapped_captions=0, probe=False)
    figures = measure_attributes(config, encoder, split(encoder, 24), None)
    assert figures is not None
    assert figures.swaps == ()
    assert not [name for name in figures.metrics() if "probe" in name or "swapped" in name]


def test_swapped_sentences_are_bounded_and_drawn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = ReadingEncoder()
    embeddings = split(encoder, 24)
    first = swapped.swapped_sentences(encoder, embeddings, 30)
    assert {figure.kind: figure.sentences for figure in first} == dict.fromkeys(
        ("bag", "colour", "gender", "upper garment"), 30
    )
    assert swapped.swapped_sentences(encoder, embeddings, 30) == first
    monkeypatch.setattr(swapped, "MOST_READ", 10)
    assert swapped.swapped_sentences(encoder, embeddings, 30) == ()  # ten captions are fewer than FEWEST_SENTENCES


def test_nothing_known_is_said_and_not_measured(caplog: pytest.LogCaptureFixture) -> None:
    encoder = ReadingEncoder()
    record = ImageRecord("i", "", 1, "test", ["x"], "x", attributes=None)
    vector = np.ones((1, len(THINGS)), np.float32)
    embeddings = SplitEmbeddings([record], ["x"], np.arange(1), vector, vector)
    figures = measure_attributes(AttributesConfig(), encoder, embeddings, None)
    assert figures is None or not figures.metrics()


def test_metric_names_are_legal_in_mlflow() -> None:
    encoder = ReadingEncoder()
    figures = measure_attributes(AttributesConfig(), encoder, split(encoder, 24), None)
    assert figures is not None
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in figures.metrics())
