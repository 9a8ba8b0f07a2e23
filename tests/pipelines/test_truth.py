"""The demo says rightly which candidates fit: by hand-made facts, a data set's attributes, rendered footage."""

import json
from pathlib import Path

import numpy as np
import pytest

from personsearch.data.facts.catalogue import FACT_INDEX, FACTS
from personsearch.data.facts.words import facts_in
from personsearch.data.prepare import PrepareConfig, prepare
from personsearch.data.records import read_manifest
from personsearch.data.synthetic.footage import FootageConfig, footage
from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize
from personsearch.gallery.add_dataset import crop_id_of
from personsearch.search.crop import BoundingBox, Crop
from pipelines.demo import DemoConfig
from pipelines.truth import KnownCrop, Question, truth_of_dataset, truth_of_footage
from tests.crops import make_crop

WOMAN = {"woman": True, "man": False, "backpack": True, "a bag": True, "green upper": True, "coat": True} | {
    "dark grey lower": True,
    "trousers": True,
}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a person in grey trousers", True),  # of a dark grey
        ("a person in dark grey trousers", True),
        ("a person in light grey trousers", False),
        ("a woman with a backpack", True),
        ("a person in a green coat", True),
        ("a man with a backpack", False),
        ("a woman in a green coat and a hat", None),  # whether there is a hat is not known
        ("a man in a green coat and a hat", False),  # a hat would not make her a man
        ("a person in a red coat", False),
        ("a woman without a bag", False),
        ("somebody over there", None),  # states nothing
    ],
)
def test_what_is_not_known_cannot_be_told(text: str, fits: bool | None) -> None:
    assert KnownCrop(WOMAN).fits(text) is fits


def test_a_red_top_that_may_be_dark_red_can_be_told_only_if_one_of_both_is_known() -> None:
    assert KnownCrop({"red upper": False, "dark red upper": False}).fits("a person in a red top") is False
    assert KnownCrop({"red upper": False}).fits("a person in a red top") is None
    assert KnownCrop({"dark red upper": True}).fits("a person in a red top") is True


def test_a_question_counts_what_fits() -> None:
    truth = {
        "a": KnownCrop(WOMAN, "1"),
        "b": KnownCrop({"woman": True}, "2"),
        "c": KnownCrop({}),
        "d": KnownCrop(None),
    }
    question = Question("a woman with a backpack")
    assert [question.is_right(known) for known in truth.values()] == [True, None, None, False]
    assert question.verdict({"a": True, "d": False}, truth) == "1 of 2 fit; of the whole gallery 25.0% would"
    told = question.verdict({"a": True, "b": None, "c": None}, truth)
    assert told == "1 of 3 fit, 2 cannot be told; of the whole gallery 25.0% would"
    assert Question("a bald man").verdict({"a": False}, truth) == "0 of 1 fit; nobody in the gallery would"
    assert question.verdict({}, truth) == "whether they fit is not known: they are real people"
    person = Question("whatever", ("junction",), "2")
    assert [person.is_right(known) for known in truth.values()] == [False, True, False, False]
    assert person.verdict({"a": False, "b": True}, truth) == "1 of 2 show the person described"


def test_the_truth_of_a_data_set_is_what_it_says_and_shows(tmp_path: Path) -> None:
    config = SynthesizeConfig(identities_train=1, identities_val=1, identities_test=6, images_per_identity=2, workers=1)
    synthesize(config, tmp_path / "raw")
    prepare(PrepareConfig(), tmp_path / "raw", tmp_path / "prepared")
    truth, records = truth_of_dataset(tmp_path / "prepared"), read_manifest(tmp_path / "prepared", "test")
    assert truth.keys() == {crop_id_of(record) for record in records}
    for record in records:
        attributes, known = json.loads(record.attributes or "{}"), truth[crop_id_of(record)]
        assert known.fits("a man") == (attributes["gender"] == "man")
        if attributes["bag"] == "backpack":
            assert known.fits("a person with a backpack") is (True if "bag" in attributes["visible"] else None)
        else:
            assert known.fits("a person with a backpack") is not True


def crop_around(frame: int, box: list[int]) -> Crop:
    left, top, right, bottom = box
    bounds = BoundingBox(left, top, right - left, bottom - top)
    return make_crop(f"{frame}-{left}", bbox=bounds, frame_uri=f"walk.avi#frame={frame}")


def test_the_truth_of_footage_is_of_the_person_in_the_box(tmp_path: Path) -> None:
    footage(FootageConfig(people=4, seconds=2.0, seed=4), tmp_path / "walk.avi")
    truth = json.loads((tmp_path / "walk.json").read_text())
    present = [(frame, box) for frame, boxes in enumerate(truth["frames"]) for box in boxes]
    crops = [crop_around(frame, box["box"]) for frame, box in present]
    nobody = make_crop("nobody", bbox=BoundingBox(0, 0, 10, 10), frame_uri="walk.avi#frame=0")
    found = truth_of_footage(tmp_path / "walk.json", [*crops, nobody])
    assert found["nobody"] == KnownCrop(None)
    assert [found[crop.crop_id].person for crop in crops] == [str(box["person"]) for _, box in present]
    for crop, (_, box) in zip(crops, present, strict=True):
        gender = truth["people"][str(box["person"])]["attributes"]["gender"]
        assert found[crop.crop_id].fits("a woman") == (gender == "woman")


def test_a_part_behind_somebody_nearer_is_not_made_out(tmp_path: Path) -> None:
    """Who is mostly hidden shows fewer parts than who is not."""
    footage(FootageConfig(people=9, seconds=4.0, seed=1), tmp_path / "walk.avi")
    frames = json.loads((tmp_path / "walk.json").read_text())["frames"]
    boxes = [box for frame in frames for box in frame]
    hidden, whole = [box for box in boxes if box["visible"] < 0.3], [box for box in boxes if box["visible"] > 0.95]
    assert hidden
    assert whole
    assert all("upper" in box["parts"] for box in whole)
    assert np.mean([len(box["parts"]) for box in hidden]) < np.mean([len(box["parts"]) for box in whole]) - 1


def test_each_of_the_demo_s_queries_states_something() -> None:
    config = DemoConfig.from_yaml(Path(__file__).parents[2] / "params.yaml", "demo")
    kinds = {
        FACTS[FACT_INDEX[name]].kind for text in config.queries for name, is_true in facts_in(text).items() if is_true
    }
    assert all(facts_in(text) for text in config.queries)
    assert {"bag", "headwear", "lower", "hair", "upper colour", "gender"} <= kinds
