"""Queries of other kinds, and the calibration of each, on people whose vectors are known."""

import json

import numpy as np
import pytest

from personsearch.data.facts.catalogue import FACT_INDEX
from personsearch.data.records import ImageRecord
from personsearch.evaluation.attributes.known import known_table
from personsearch.evaluation.calibration import fit_calibration
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.known_searches import Galleries, Questions, draw_short_queries, find_candidates
from personsearch.evaluation.query_kinds import TERMS, draw_kinds
from personsearch.search.calibration import Calibration, Reference
from tests.evaluation.test_calibration import make_embeddings

D = 48
WORDS = ("red", "blue", "backpack", "hat", "glasses")


class Words:
    """An encoder of words: each of WORDS has an axis of its own."""

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        vectors = np.array([[word in text for word in WORDS] + [0.1] * (D - len(WORDS)) for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def dressed(people: int = 60, views: int = 3) -> SplitEmbeddings:
    """People in coats, every other one with a backpack; a vector is what is worn, the person, and noise."""
    rng = np.random.default_rng(0)
    records, image_GD, text_QD, captions, image_of_caption = [], [], [], [], []
    for person in range(people):
        colour, bag = ("red", "blue")[person % 2], person % 4 < 2
        own = rng.normal(size=D)
        for view in range(views):
            caption = f"a man in a {colour} coat" + (" with a backpack" if bag else "")
            attributes = {"upper": "coat", "upper_colour": colour, "bag": "backpack" if bag else "none"}
            attributes |= {"headwear": "none", "eyewear": "none"}
            name = f"{person}-{view}"
            records.append(ImageRecord(name, "", person, "val", [caption], "t", attributes=json.dumps(attributes)))
            worn = np.array([colour == "red", colour == "blue", bag, 0, 0] + [0.0] * (D - len(WORDS)))
            image_GD.append(2 * worn + 0.3 * own + 0.2 * rng.normal(size=D))
            text_QD.append(2 * worn + 0.2 * own + 0.2 * rng.normal(size=D))
            captions.append(caption)
            image_of_caption.append(len(records) - 1)
    unit = [np.stack(each) / np.linalg.norm(each, axis=1, keepdims=True) for each in (image_GD, text_QD)]
    image_ND, text_ND = (each.astype(np.float32) for each in unit)
    return SplitEmbeddings(records, captions, np.array(image_of_caption), image_ND, text_ND)


@pytest.fixture(scope="module")
def people() -> SplitEmbeddings:
    return dressed()


@pytest.fixture(scope="module")
def kinds(people: SplitEmbeddings) -> dict[str, list[Questions]]:
    return draw_kinds(people, Words(), 100)


@pytest.fixture(scope="module")
def calibration(people: SplitEmbeddings, kinds: dict[str, list[Questions]]) -> Calibration:
    return fit_calibration(people, "val", short=draw_short_queries(people, Words()), others=kinds)


def test_a_picture_is_not_in_the_gallery_that_it_is_asked_in(
    people: SplitEmbeddings, kinds: dict[str, list[Questions]]
) -> None:
    [pictures] = kinds["picture"]
    assert pictures.own_Q is not None
    np.testing.assert_array_equal(pictures.text_QD, people.image_GD[pictures.own_Q])
    whole, reference = (Galleries(1, by_person=False),), Reference.of(people.image_GD)
    found = find_candidates(people, pictures, reference, absent=False, galleries=whole)
    assert found.features_QKF[:, 0, 0].max() < 0.999  # nobody finds the picture itself
    assert set(found.searched_Q) == {len(people.records) - 1}
    absent = find_candidates(people, pictures, reference, absent=True, galleries=whole)
    assert not absent.right_QK.any()
    assert set(absent.searched_Q) == {len(people.records) - 3}


def test_what_is_excluded_is_what_the_right_ones_lack(
    people: SplitEmbeddings, kinds: dict[str, list[Questions]]
) -> None:
    captions, short = kinds["exclusion"]
    assert captions.fits_QG is None
    table_GF, _ = known_table(people.records)
    terms = np.stack([table_GF[:, FACT_INDEX[name]] for name in TERMS])
    assert short.fits_QG is not None
    for fits_G in short.fits_QG:
        assert any(not (term_G[fits_G == 1] == 1).any() for term_G in terms)


def test_two_short_queries_are_fitted_by_whom_both_fit(kinds: dict[str, list[Questions]]) -> None:
    captions, short = kinds["descriptions"]
    assert short.fits_QG is not None
    assert captions.facts_Q.min() >= 2
    assert (short.fits_QG == 1).sum(axis=1).min() >= 1


def test_each_kind_has_its_own_curve_and_rates(calibration: Calibration) -> None:
    assert set(calibration.curves) == set(calibration.kinds) == {
        "picture", "picture_and_words", "descriptions", "exclusion",
    }  # fmt: skip
    for kind, rates in calibration.kinds.items():
        assert rates.auc > 0.7, kind
        assert rates.log_loss < 0.69, kind  # better than a coin
    assert calibration.curve_of("picture") != calibration.curve
    assert calibration.curve_of(None) is None


def test_it_is_the_same_on_every_run(people: SplitEmbeddings, calibration: Calibration) -> None:
    again = fit_calibration(people, "val", others=draw_kinds(people, Words(), 100))
    assert again.curves == calibration.curves


def test_a_kind_that_cannot_be_asked_has_no_curve(caplog: pytest.LogCaptureFixture) -> None:
    once = make_embeddings(noise=0.3, people=30, views=1)
    kinds = draw_kinds(once, Words() if once.image_GD.shape[1] == D else Nothing(once.image_GD.shape[1]))
    assert "picture" not in kinds
    calibration = fit_calibration(once, "val", others={"descriptions": [Questions.of_captions(once)]})
    assert calibration.curves.keys() <= {"descriptions"}


class Nothing:
    """An encoder to which all texts are alike."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return np.eye(1, self.dimensions, dtype=np.float32).repeat(len(texts), axis=0)


def test_too_few_outcomes_are_not_calibrated(people: SplitEmbeddings, kinds: dict[str, list[Questions]]) -> None:
    [pictures] = kinds["picture"]
    few = Questions(*(values if values is None else values[:3] for values in vars(pictures).values()))
    assert fit_calibration(people, "val", others={"picture": [few]}).curves == {}
