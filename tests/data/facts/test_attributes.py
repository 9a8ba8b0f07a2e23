"""Facts from attributes, and those against the words of the same image's captions."""

import json
from pathlib import Path

import numpy as np
import pytest

from personsearch.data.facts.attributes import facts_of_attributes
from personsearch.data.facts.catalogue import FACT_INDEX, FACTS
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN, fact_table, facts_in_captions, known_facts
from personsearch.data.facts.queries import ShortQuery, draw_query, fits
from personsearch.data.facts.words import facts_in
from personsearch.data.records import ImageRecord


@pytest.mark.parametrize(
    ("attributes", "known"),
    [
        ({"gender": "woman"}, {"woman": True, "man": False, "child": False}),
        ({"gender": "boy"}, {"child": True, "man": None, "woman": None}),
        ({"bag": "none"}, {"a bag": False, "backpack": False}),
        ({"bag": "backpack"}, {"a bag": True, "backpack": True, "suitcase": False}),
        ({"bag": "backpack", "visible": ["upper"]}, {"a bag": None, "backpack": None, "suitcase": False}),
        ({"bag": "briefcase"}, {"briefcase": True, "handbag": None}),
        ({"beard": True, "facing": "back"}, {"beard": None}),
        ({"beard": True, "facing": "front"}, {"beard": True}),
        ({"eyewear": "glasses", "facing": "back"}, {"glasses": None, "eyewear": None}),
        ({"upper": "jacket"}, {"jacket": True, "coat": None, "t-shirt": False}),
        ({"upper": "jacket", "open_front": True}, {"jacket": True, "t-shirt": None, "open jacket": True}),
        (
            {"upper_colour": "black", "upper": "coat"},
            {"black upper": True, "dark blue upper": None, "red upper": False},
        ),
        ({"upper_colour": "red", "upper": "coat", "open_front": True}, {"red upper": None}),
        ({"bag_colour": "red", "bag": "none"}, {"red bag": False}),
        ({"hair_length": "bald", "headwear": "cap"}, {"bald": None, "cap": True}),
        ({"hair_length": "long", "hair_style": "bun"}, {"long hair": True, "short hair": False, "bun": True}),
        ({"sleeves": "none"}, {"no sleeves": True, "long sleeves": False}),
        ({"upper": "dress", "lower": "dress"}, {"skirt or dress": True, "jeans": False}),
        ({"backpack": True, "beard": False}, {"backpack": True, "beard": False}),
        ({"headwear": "hood", "visible": ["headwear"]}, {"hood": True, "headwear": True, "cap": False}),
        ({"headwear": "hood", "visible": ["hood"]}, {"hood": True, "headwear": True}),
        ({"headwear": "hood", "visible": ["upper"]}, {"hood": None, "headwear": None}),
        ({"headwear": "hard hat"}, {"hard hat": True, "helmet": True, "cap": False, "brimmed hat": False}),
        ({"headwear": "helmet"}, {"helmet": True, "hard hat": None}),
        ({"headwear": "straw hat"}, {"straw hat": True, "wide-brimmed hat": True, "brimmed hat": True}),
        ({"headwear": "headscarf", "scarf_colour": "none"}, {"headscarf": True, "hood": None, "scarf": None}),
        ({"upper": "waistcoat"}, {"waistcoat": True, "vest": True, "coat": False}),
        ({"upper": "vest"}, {"vest": True, "waistcoat": None}),
        ({"upper": "parka"}, {"parka": True, "jacket": True, "hooded top": True, "coat": None}),
        ({"upper": "fur coat"}, {"fur coat": True, "coat": True, "parka": False}),
        ({"suit": True, "visible": ["upper", "lower"]}, {"suit": True}),
        ({"suit": True, "visible": ["upper"]}, {"suit": None}),
        ({"suit": False, "upper": "jacket"}, {"suit": False}),
        (
            {
                "suit": False,
                "upper": "suit jacket",
                "lower": "trousers",
                "upper_colour": "black",
                "lower_colour": "dark grey",
            },
            {"suit": None},
        ),
        ({"tie_colour": "red"}, {"tie": True}),
        ({"tie_colour": "none"}, {"tie": False}),
        ({"tie_colour": "none", "facing": "back"}, {"tie": None}),
        (
            {"hi_vis_colour": "yellow", "upper": "jacket", "upper_colour": "black", "visible": ["upper", "hi-vis"]},
            {"high-visibility vest": True, "vest": None, "jacket": True, "black upper": None, "red upper": None},
        ),
        ({"hi_vis_colour": "yellow", "visible": ["upper"]}, {"high-visibility vest": None}),
        ({"hi_vis_colour": "none"}, {"high-visibility vest": False}),
        ({"vehicle": "ridden bicycle"}, {"bicycle": True, "riding": True, "pushchair": False}),
        ({"vehicle": "bicycle"}, {"bicycle": True, "riding": False}),
        ({"vehicle": "ridden bicycle", "visible": ["upper"]}, {"bicycle": None, "riding": None, "pushchair": False}),
        ({"vehicle": "none"}, {"bicycle": False, "riding": False, "shopping trolley": False}),
        ({"person": "tall"}, {}),
    ],
)
def test_attributes_say_what_is_known(attributes: dict[str, object], known: dict[str, bool | None]) -> None:
    facts = facts_of_attributes(attributes)
    assert {name: facts.get(name) for name in known} == known
    assert set(facts) <= set(FACT_INDEX)
    if not known:
        assert facts == {}


def test_captions_of_synthetic_people_say_what_their_attributes_say(tmp_path: Path) -> None:
    from personsearch.data.prepare import PrepareConfig, prepare
    from personsearch.data.records import read_manifest
    from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize

    synthesize(
        SynthesizeConfig(identities_train=1, identities_val=1, identities_test=40, images_per_identity=1),
        tmp_path / "raw",
    )
    prepare(PrepareConfig(), tmp_path / "raw", tmp_path / "data")
    agreed = []
    for record in read_manifest(tmp_path / "data"):
        truth = facts_of_attributes(json.loads(record.attributes or "{}"))
        stated = facts_in_captions(record.captions)
        agreed += [truth[name] for name, value in stated.items() if value and name in truth]
    assert len(agreed) > 150
    assert np.mean(agreed) > 0.95


def test_captions_speak_where_attributes_say_nothing() -> None:
    def record(captions: list[str], attributes: str | None) -> ImageRecord:
        return ImageRecord("i", "i.jpg", 1, "test", captions, "x", attributes=attributes)

    assert known_facts(record(["a man"], '{"gender": "woman"}'))["woman"]
    assert known_facts(record(["a man"], '{"camera": "left"}')) == facts_in("a man")
    assert facts_in_captions(["a man in jeans", "a woman in jeans"]).keys() & {"man", "woman", "jeans"} == {"jeans"}
    table = fact_table([record(["a man"], None), record(["a bag"], None)])
    assert table.shape == (2, len(FACTS))
    assert table[:, FACT_INDEX["man"]].tolist() == [TRUE, UNKNOWN]
    assert table[:, FACT_INDEX["woman"]].tolist() == [FALSE, UNKNOWN]


def test_a_query_fits_if_all_its_facts_hold() -> None:
    table = np.full((4, len(FACTS)), UNKNOWN, np.int8)
    table[:, FACT_INDEX["woman"]] = [TRUE, TRUE, FALSE, TRUE]
    table[:, FACT_INDEX["backpack"]] = [TRUE, FALSE, UNKNOWN, UNKNOWN]
    asked = [ShortQuery("", ("woman", "backpack")), ShortQuery("", ("woman",))]
    assert fits(asked, table).T.tolist() == [[TRUE, FALSE, FALSE, UNKNOWN], [TRUE, TRUE, FALSE, TRUE]]


def test_a_drawn_query_says_what_it_asks_for() -> None:
    rng = np.random.default_rng(0)
    names = ("woman", "backpack", "coat", "red upper", "glasses", "shorts", "blue lower", "cap", "long hair")
    for _ in range(200):
        query = draw_query(names, rng)
        assert query is not None
        stated = facts_in(query.text)
        assert set(query.facts) <= set(names)
        assert all(stated.get(name) for name in query.facts), (query, stated)
    assert draw_query((), rng) is None


@pytest.mark.parametrize("attributes", [{"gender": ["man"]}, {"gender": {"a": 1}}, {"bag": ["backpack"]}, {"bag": 3}])
def test_a_value_that_is_no_word_says_nothing(attributes: dict[str, object]) -> None:
    assert facts_of_attributes(attributes) == {}


def test_capitals_change_nothing() -> None:
    assert facts_of_attributes({"gender": "MAN"})["man"] is True
