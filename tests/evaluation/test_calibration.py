"""Calibration on queries whose probabilities are known."""

import json

import numpy as np
import pytest

from personsearch.data.records import ImageRecord
from personsearch.evaluation.calibration import (
    Judged,
    expected_calibration_error,
    fit_calibration,
    fit_curve,
    fit_logistic,
    measure_kind,
    probabilities,
    shift_to_mean,
)
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.known_searches import (
    DEPTH,
    Candidates,
    Galleries,
    Questions,
    Searched,
    draw_short_queries,
    find_candidates,
    search_kinds,
)
from personsearch.search.calibration import SLOPES, Conditions, Level, Reference, features

WHOLE = (Galleries(1, by_person=False),)


def make_embeddings(noise: float, people: int = 120, views: int = 3) -> SplitEmbeddings:
    """Images and captions of people as noisy copies of one unit vector per person."""
    numbers = np.random.default_rng(0)

    def noisy(vectors: np.ndarray) -> np.ndarray:
        vectors = vectors + noise * numbers.normal(size=vectors.shape) / np.sqrt(vectors.shape[1])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    identity = numbers.normal(size=(people, 32))
    identity /= np.linalg.norm(identity, axis=1, keepdims=True)
    ids = np.repeat(np.arange(people), views)
    records = [ImageRecord(str(i), "", int(person), "val", ["x"], "t") for i, person in enumerate(ids)]
    return SplitEmbeddings(records, ["x"] * len(ids), np.arange(len(ids)), noisy(identity[ids]), noisy(identity[ids]))


def test_logistic_finds_the_law_that_made_the_data() -> None:
    numbers = np.random.default_rng(1)
    features = numbers.normal(size=(200_000, 2)) * [0.1, 3.0] + [0.5, -1.0]
    probability = 1 / (1 + np.exp(-(-4 + 8 * features[:, 0] + 0.5 * features[:, 1])))
    weights = fit_logistic(features, numbers.random(len(features)) < probability)
    assert weights == pytest.approx([-4, 8, 0.5], rel=0.05)


def test_expected_calibration_error_by_hand() -> None:
    """Ten at .9 of which 9 right: 0 off. Ten at .25 of which 5 right: .25 off. Mean .125."""
    probability = np.array([0.9] * 10 + [0.25] * 10)
    right = np.array([True] * 9 + [False] + [True] * 5 + [False] * 5)
    assert expected_calibration_error(probability, right) == pytest.approx(0.125)


def test_a_good_model_is_confident_and_knows_who_is_absent() -> None:
    calibration = fit_calibration(make_embeddings(noise=0.3), "val")
    assert calibration.expected_calibration_error < 0.03
    assert calibration.reliable_when_present > 0.95
    assert calibration.reliable_when_absent < 0.05
    assert calibration.precision > 0.95
    assert calibration.captions is not None
    assert calibration.captions.auc > 0.99
    assert calibration.short_queries is None


def test_a_poor_model_admits_that_it_does_not_know() -> None:
    calibration = fit_calibration(make_embeddings(noise=3.0), "val")
    assert calibration.expected_calibration_error < 0.05
    assert calibration.reliable_when_present < 0.3


@pytest.mark.parametrize("people", [1, 2, 3])
def test_few_people_are_no_error(people: int) -> None:
    calibration = fit_calibration(make_embeddings(noise=0.3, people=people), "val")
    assert 0 <= calibration.precision <= 1


def three_people() -> SplitEmbeddings:
    """Images at cosines 1, .8 and 0 from the caption of the first person, who has the first and the last of them."""
    image_GD = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    records = [ImageRecord(str(i), "", person, "val", [], "t") for i, person in enumerate((7, 8, 7))]
    caption = ["a man in a red top"]
    return SplitEmbeddings(records, caption, np.array([0]), image_GD, np.array([[1, 0]], dtype=np.float32))


def found_among(embeddings: SplitEmbeddings, galleries: Galleries = WHOLE[0], *, absent: bool = False) -> Candidates:
    reference = Reference.of(embeddings.image_GD)
    questions = Questions.of_captions(embeddings)
    return find_candidates(embeddings, questions, reference, absent=absent, galleries=(galleries,))


def inputs_of(found: Candidates) -> np.ndarray:
    """Score, lead and ln tracks of what was found."""
    return found.features_QKF[found.there_QK][:, :3]


def test_candidates_by_hand() -> None:
    """Leads: 1 − mean(.8, 0) = .6, .8 − mean(1, 0) = .3, 0 − mean(1, .8) = −.9."""
    found = found_among(three_people())
    assert found.there_QK.sum() == 3
    assert inputs_of(found) == pytest.approx(
        np.array([[1, 0.6, np.log(3)], [0.8, 0.3, np.log(3)], [0, -0.9, np.log(3)]])
    )
    assert found.rightness().tolist() == [True, False, True]
    assert found.searched_Q.tolist() == [3]
    facts = np.log(3)
    assert found.features_QKF[0, 0, SLOPES.index("facts")] == pytest.approx(facts)
    assert found.features_QKF[0, 0, SLOPES.index("lead_facts")] == pytest.approx(0.6 * facts)


def test_an_absent_person_is_not_searched() -> None:
    found = found_among(three_people(), absent=True)
    assert inputs_of(found) == pytest.approx(np.array([[0.8, 0.0, 0.0]]))
    assert found.rightness().tolist() == [False]
    assert found.searched_Q.tolist() == [1]


def test_by_person_all_images_of_one_are_a_track() -> None:
    """The person's better image leads the other person's by .2."""
    found = found_among(three_people(), Galleries(1, by_person=True))
    assert inputs_of(found) == pytest.approx(np.array([[1, 0.2, np.log(2)], [0.8, -0.2, np.log(2)]]))
    assert found.rightness().tolist() == [True, False]


def test_the_level_of_a_gallery_leaves_out_whom_it_does_not_hold() -> None:
    embeddings = three_people()
    reference = Reference.of(embeddings.image_GD).level(embeddings.text_QD[0])
    expected = Level.of(np.array([0.8]), reference)
    found = found_among(embeddings, absent=True).features_QKF[0, 0]
    assert found[SLOPES.index("gallery_mean")] == pytest.approx(expected.mean)
    assert found[SLOPES.index("gallery_spread")] == pytest.approx(expected.spread)


def test_galleries_of_every_size_hold_the_person_asked_for() -> None:
    """12 people with 3 images: all 36, quarters of 9; each caption once in each size."""
    embeddings = make_embeddings(noise=0.0, people=12)
    for galleries, tracks in (
        (WHOLE[0], 36),
        (Galleries(4, False), 9),
        (Galleries(4, True), 3),
        (Galleries(12, True), 1),
    ):
        found = found_among(embeddings, galleries)
        assert found.searched_Q.tolist() == [tracks] * 36
        own = 1 if galleries.by_person else 3
        assert found.right_QK[:, :own].all()
        assert not found.right_QK[:, own:].any()
        left = found_among(embeddings, galleries, absent=True)
        assert left.searched_Q.tolist() == [tracks - own] * 36
        assert not left.right_QK.any()


def test_a_gallery_is_compared_with_other_people() -> None:
    """Of two people each is one half: the level of the reference is that of the other one's only image."""
    records = [ImageRecord(str(n), "", n, "val", ["x"], "t") for n in range(2)]
    vectors = np.eye(2, dtype=np.float32)
    embeddings = SplitEmbeddings(records, ["x", "x"], np.arange(2), vectors, vectors)
    questions = Questions.of_captions(embeddings)
    found = find_candidates(embeddings, questions, None, absent=False, galleries=(Galleries(2, by_person=False),))
    assert found.right_QK[:, 0].all()
    assert found.features_QKF[:, 0, SLOPES.index("reference_mean")].tolist() == [0.0, 0.0]


def test_to_a_short_query_everybody_is_right_who_fits() -> None:
    """Of the third image it is unknown whether it fits: it judges no confidence, and nobody is absent with it."""
    embeddings = three_people()
    asked = Questions(embeddings.text_QD, np.array([1]), np.array([7]), np.array([[0, 1, -1]], dtype=np.int8))
    reference = Reference.of(embeddings.image_GD)
    present, absent = (
        find_candidates(embeddings, asked, reference, absent=absent, galleries=WHOLE) for absent in (False, True)
    )
    assert present.there_QK[0, :3].tolist() == [True, True, False]
    assert present.right_QK[0, :3].tolist() == [False, True, False]
    assert present.searched_Q.tolist() == [3]
    assert (absent.searched_Q.tolist(), absent.rightness().tolist()) == ([1], [False])


PEOPLE = 60


class NamedColours:
    """Encodes "red" as the first axis and anything else as the second; one axis follows for each person."""

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return np.eye(2, 2 + PEOPLE, dtype=np.float32)[[0 if "red" in text else 1 for text in texts]]


def coats(colours: list[str]) -> SplitEmbeddings:
    """People in coats: half of an image's vector is the coat's colour, half the person, as its caption says."""
    records = [
        ImageRecord(
            str(n), "", n, "val", [f"a man in a {colour} coat and black jeans with a backpack, glasses and a cap"], "t",
            attributes=json.dumps({"upper": "coat", "upper_colour": colour}),
        )
        for n, colour in enumerate(colours)
    ]  # fmt: skip
    image_GD = np.zeros((len(colours), 2 + PEOPLE), dtype=np.float32)
    image_GD[np.arange(len(colours)), [0 if colour == "red" else 1 for colour in colours]] = np.sqrt(0.5)
    image_GD[np.arange(len(colours)), 2 + np.arange(len(colours))] = np.sqrt(0.5)
    captions = [record.captions[0] for record in records]
    return SplitEmbeddings(records, captions, np.arange(len(records)), image_GD, image_GD)


def test_short_queries_are_drawn_from_what_is_known() -> None:
    embeddings = coats(["red", "blue", "red"])
    drawn = draw_short_queries(embeddings, NamedColours())
    assert drawn is not None
    assert drawn.fits_QG is not None
    assert (drawn.facts_Q > 0).all()
    own = drawn.fits_QG[np.arange(len(drawn.person_Q)), drawn.person_Q]  # image n shows person n
    assert (own == 1).all()
    red = drawn.text_QD[:, 0] == 1
    assert red.any()
    assert set(drawn.fits_QG[red, 1]) == {0}
    nothing_known = SplitEmbeddings(
        [ImageRecord("0", "", 0, "val", ["x"], "t")],
        ["x"],
        np.array([0]),
        embeddings.image_GD[:1],
        embeddings.image_GD[:1],
    )
    assert draw_short_queries(nothing_known, NamedColours()) is None


def test_a_query_that_many_fit_is_reliable_although_nobody_stands_out() -> None:
    """Half of 60 people wear red: to "red" all of them are right, and their leads are 0."""
    embeddings = coats(["red", "blue"] * (PEOPLE // 2))
    calibration = fit_calibration(embeddings, "val", short=draw_short_queries(embeddings, NamedColours()))
    assert calibration.short_queries is not None
    assert calibration.short_queries.right_reliable > 0.9
    assert calibration.short_queries.absent_reliable < 0.2
    assert calibration.captions is not None
    assert calibration.captions.right_reliable > 0.9
    assert calibration.captions.absent_reliable < 0.2


def test_a_shift_to_a_mean_by_hand() -> None:
    """Odds 1 and 3 become 3 and 9: (.75 + .9) / 2."""
    assert shift_to_mean(np.array([0.5, 0.75]), 0.825) == pytest.approx(np.log(3))


def searched(embeddings: SplitEmbeddings) -> Searched:
    return search_kinds(embeddings, None, None)["captions"]


def test_the_best_candidates_are_right_as_often_as_is_said() -> None:
    found = searched(make_embeddings(noise=1.0))
    curve = fit_curve([found])
    stated = np.mean([probabilities(curve, part)[:, 0].mean() for part in (found.present, found.absent)])
    right = np.mean([part.right_QK[:, 0].mean() for part in (found.present, found.absent)])
    assert stated == pytest.approx(right, abs=1e-3)
    assert curve.facts == curve.lead_facts == 0  # without short queries nothing says how facts count


def judged(probability: list[float], right: list[bool], absent: list[float]) -> Judged:
    """Queries with one candidate each: those with somebody there, then those without."""

    def candidates(right: list[bool]) -> Candidates:
        count, people = len(right), np.arange(len(right))
        there_QK = np.ones((count, 1), bool)
        return Candidates(np.zeros((count, 1, len(SLOPES))), np.array(right)[:, None], there_QK, people, people)

    both = Searched(candidates(right), candidates([False] * len(absent)))
    return Judged(both, np.array(probability)[:, None], np.array(absent)[:, None])


def test_rates_of_a_kind_by_hand() -> None:
    rates = measure_kind([judged([0.9, 0.6, 0.8], [True, True, False], [0.7, 0.1, 0.2])], 0.65)
    assert (rates.queries, rates.precision, rates.right_reliable) == (3, pytest.approx(1 / 3), 0.5)
    assert rates.absent_reliable == pytest.approx(1 / 3)
    assert rates.log_loss == pytest.approx(-np.log([0.9, 0.6, 0.2, 0.3, 0.9, 0.8]).mean())
    assert rates.auc == pytest.approx(6 / 8)


def test_the_same_similarity_never_says_more_in_a_larger_gallery() -> None:
    calibration = fit_calibration(make_embeddings(noise=1.0, people=160), "val")
    assert calibration.curve.log_tracks <= 0 < calibration.curve.score
    assert calibration.galleries == (240, 60)


def test_probabilities_are_what_serving_states() -> None:
    embeddings = make_embeddings(noise=1.0, people=20)
    calibration = fit_calibration(embeddings, "val")
    found = found_among(embeddings)
    stated = probabilities(calibration.curve, found)
    reference = calibration.reference
    assert reference is not None
    level = reference.level(embeddings.text_QD[0])
    given = Conditions(60, 0, level, Level.of(embeddings.image_GD @ embeddings.text_QD[0], level))
    for rank in range(DEPTH):
        score, lead = found.features_QKF[0, rank, :2]
        assert found.features_QKF[0, rank] == pytest.approx(features(score, lead, given), abs=1e-6)
        assert calibration.confidence(score, lead, given) == pytest.approx(stated[0, rank])
