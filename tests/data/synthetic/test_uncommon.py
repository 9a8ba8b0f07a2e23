"""Uncommon clothes and things: drawn, made out, said and known; everybody else stays who they are."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from personsearch.data.facts.attributes import facts_of_attributes
from personsearch.data.facts.words import facts_in
from personsearch.data.synthetic.attributes import Person, draw_person
from personsearch.data.synthetic.captions import Sight, write_captions
from personsearch.data.synthetic.figure import PART_INDEX, Figure, Light, View, draw_figure
from personsearch.data.synthetic.snapshot import draw_pose, jittered_box, visible_parts
from personsearch.data.synthetic.synthesize import SynthesizeConfig, person_of, plan_identities, synthesize
from personsearch.data.synthetic.twins import shape_twin
from personsearch.data.synthetic.uncommon import KINDS, put_on

PART_OF_KIND = {
    "suit": "inner", "fur coat": "upper", "parka": "hood", "waistcoat": "inner", "high-visibility vest": "hi-vis",
    "hard hat": "headwear", "headscarf": "headwear", "wide hat": "headwear", "bicycle": "vehicle",
    "pushchair": "vehicle", "shopping trolley": "vehicle",
}  # fmt: skip
FACT_OF_KIND = {name: name for name in PART_OF_KIND} | {"wide hat": "wide-brimmed hat"}
YAWS = np.linspace(-np.pi, np.pi, 8, endpoint=False)


def dressed(kind: str, seed: int) -> Person:
    """Somebody with this one uncommon thing."""
    for number in range(seed, seed + 1000):
        person = draw_person(np.random.default_rng(number))
        changes = KINDS[kind][2](person, np.random.default_rng(number + 1))
        if changes and not person.child:
            return put_on(person, changes, np.random.default_rng(number + 2))
    raise AssertionError(kind)


def parts_of(person: Person) -> frozenset[str]:
    """Everything that could be made out of a person from the front."""
    there = {
        "tie": person.tie_colour != "none",
        "hi-vis": person.hi_vis_colour != "none",
        "vehicle": person.vehicle != "none",
        "headwear": person.headwear != "none",
        "bag": person.bag != "none",
        "hood": person.upper == "parka",
        "inner": person.suit or person.upper == "waistcoat",
        "hair": person.headwear not in ("hood", "headscarf"),
    }
    return frozenset({"upper", "lower", "shoes", *(part for part, is_there in there.items() if is_there)})


def draw(person: Person, yaw: float, seed: int = 0) -> Figure:
    pose = draw_pose(person, np.random.default_rng(seed))
    return draw_figure(person, pose, View(yaw, 0.2), Light((0.3, 1.0, 0.8), 0.5, 0.62), pixels_per_metre=75, phase=0.4)


def is_common(person: Person) -> bool:
    """Whether nothing uncommon is worn or pushed."""
    uncommon = {"fur coat", "parka", "waistcoat", "helmet", "hard hat", "headscarf", "straw hat", "wide-brimmed hat"}
    plain = {person.tie_colour, person.hi_vis_colour, person.vehicle} == {"none"} and not person.suit
    return plain and not {person.upper, person.headwear} & uncommon


@pytest.fixture(scope="module")
def cast() -> list[tuple[int, int, str, Person]]:
    """Number, first of the group, kind of twin, and person."""
    config = SynthesizeConfig(identities_train=1600, identities_val=0, identities_test=400)
    return [(i.number, i.first, i.twin, person_of(config, i)) for i in plan_identities(config)]


def test_people_without_uncommon_things_are_who_they_were(cast: list[tuple[int, int, str, Person]]) -> None:
    """Their appearance comes from the same streams as if nobody had any."""
    unchanged = 0
    for number, first, twin, person in cast:
        if twin == "colour" or not is_common(person):
            continue
        rng = np.random.default_rng([0, number, 1])
        original = draw_person(np.random.default_rng([0, first, 1]))
        assert person == (shape_twin(original, rng) if twin else draw_person(rng))
        unchanged += 1
    assert unchanged > 1000


def test_about_a_fifth_have_something_uncommon_and_every_kind_is_there(
    cast: list[tuple[int, int, str, Person]],
) -> None:
    people = [person for *_, person in cast]
    assert 0.15 < sum(not is_common(person) for person in people) / len(people) < 0.25
    counts = {
        "suit": sum(person.suit for person in people),
        "high-visibility vest": sum(person.hi_vis_colour != "none" for person in people),
        **{upper: sum(person.upper == upper for person in people) for upper in ("fur coat", "parka", "waistcoat")},
        **{
            hat: sum(person.headwear == hat for person in people)
            for hat in ("helmet", "hard hat", "headscarf", "straw hat")
        },
        **{
            vehicle: sum(person.vehicle == vehicle for person in people)
            for vehicle in ("bicycle", "ridden bicycle", "pushchair", "shopping trolley")
        },
    }
    assert min(counts.values()) >= 0.006 * len(people), counts


def test_near_twins_differ_in_uncommon_things(cast: list[tuple[int, int, str, Person]]) -> None:
    """Of a group with something uncommon, some members lack it; those who have it share its colour."""
    groups: dict[int, list[Person]] = {}
    for _, first, twin, person in cast:
        if twin != "colour":
            groups.setdefault(first, []).append(person)
    mixed = [people for people in groups.values() if 0 < sum(map(is_common, people)) < len(people)]
    assert len(mixed) > 0.1 * len(groups)
    for people in groups.values():
        for colours in (
            {person.vehicle_colour for person in people} - {"none"},
            {person.hi_vis_colour for person in people} - {"none"},
            {person.tie_colour for person in people} - {"none"},
        ):
            assert len(colours) <= 1


def test_an_identity_looks_the_same_each_time() -> None:
    config = SynthesizeConfig(identities_train=80, identities_val=0, identities_test=0)
    first, second = ([person_of(config, identity) for identity in plan_identities(config)] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_drawn_and_made_out(kind: str) -> None:
    """A suit's or a waistcoat's shirt and a parka's fur from some sides, all else from most."""
    part = PART_OF_KIND[kind]
    seen = 0
    for seed, yaw in enumerate(YAWS):
        figure = draw(dressed(kind, seed * 50), float(yaw), seed)
        seen += part in visible_parts(figure.parts, figure.parts, 160)
    assert seen >= (2 if kind == "suit" else 5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_said_in_several_words_and_read_from_them(kind: str) -> None:
    rng, fact = np.random.default_rng(4), FACT_OF_KIND[kind]
    people = [dressed(kind, seed) for seed in range(0, 400, 10)]
    sights = [Sight(parts_of(person), "front", False) for person in people]
    captions = {
        c for person, sight in zip(people, sights, strict=True) for c in write_captions(person, sight, rng).captions
    }
    stating = [caption for caption in captions if facts_in(caption).get(fact)]
    assert len(stating) > 0.2 * len(captions), fact


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_said_of_what_cannot_be_made_out(kind: str) -> None:
    rng, fact = np.random.default_rng(5), FACT_OF_KIND[kind]
    hidden = {PART_OF_KIND[kind], "hood", "upper", "inner", "tie"}
    for person in (dressed(kind, seed) for seed in range(0, 100, 10)):
        for caption in write_captions(person, Sight(parts_of(person) - hidden, "front", False), rng).captions:
            assert not facts_in(caption).get(fact), caption


@pytest.mark.parametrize("kind", KINDS)
def test_the_attributes_state_it_where_it_is_seen(kind: str) -> None:
    person = dressed(kind, 7)
    attributes = person.ground_truth()
    everything = {**attributes, "visible": sorted(parts_of(person)), "facing": "front"}
    nothing = {**attributes, "visible": [], "facing": "front"}
    fact = FACT_OF_KIND[kind]
    assert facts_of_attributes(everything)[fact] is True
    assert not facts_of_attributes(nothing).get(fact)


def test_others_are_known_to_lack_them() -> None:
    person = replace(draw_person(np.random.default_rng(2)), upper="sweater", lower="jeans", headwear="none")
    facts = facts_of_attributes({**person.ground_truth(), "visible": ["upper", "lower", "hair"], "facing": "front"})
    assert [name for name in (*FACT_OF_KIND.values(), "tie", "riding", "helmet") if facts[name] is not False] == []


def test_a_suit_has_trousers_of_its_own_cloth() -> None:
    for seed in range(0, 200, 20):
        person = dressed("suit", seed)
        upper, lower = (person.labs[f"{part}:{person.upper_colour}"] for part in ("upper", "lower"))
        assert upper == lower
        assert person.lower == "trousers"


def test_a_rider_is_not_said_to_walk_and_only_a_seen_bicycle_is_named() -> None:
    person, rng = replace(dressed("bicycle", 3), vehicle="ridden bicycle"), np.random.default_rng(0)
    for parts in ({"upper", "lower", "vehicle"}, {"upper", "lower"}):
        sight = Sight(frozenset(parts), "left", walking=False, riding=True)
        told = " ".join(c for _ in range(60) for c in write_captions(person, sight, rng).captions)
        assert "walking" not in told
        assert "standing" not in told
        assert ("cyclist" in told) == ("vehicle" in parts)
        assert ("riding a" in told) == ("vehicle" in parts)


def test_a_rider_sits_on_the_saddle_with_both_feet_off_the_ground() -> None:
    person = replace(dressed("bicycle", 3), vehicle="ridden bicycle", lower="jeans")
    pose = draw_pose(person, np.random.default_rng(0))
    assert pose.riding
    assert not pose.walking
    figure = draw(person, np.pi / 2)
    lowest = {
        name: np.flatnonzero((figure.parts == PART_INDEX[name]).any(axis=1)).max() for name in ("shoes", "vehicle")
    }
    assert lowest["shoes"] < lowest["vehicle"]


def test_the_box_of_somebody_with_a_bicycle_holds_the_person() -> None:
    person = replace(dressed("bicycle", 3), vehicle="bicycle")
    figure = draw(person, np.pi / 2)
    body = np.flatnonzero(((figure.parts > 0) & (figure.parts != PART_INDEX["vehicle"])).any(axis=0))
    middle = (body[0] + body[-1]) / 2
    widths = []
    for seed in range(20):
        left, _, right, _ = jittered_box(figure, np.random.default_rng(seed))
        assert left < middle < right
        widths.append(right - left)
    assert max(widths) > 1.2 * min(widths)


def test_a_data_set_says_what_they_have(tmp_path: Path) -> None:
    config = SynthesizeConfig(
        identities_train=40, identities_val=0, identities_test=0, images_per_identity=1, cameras=2, workers=1
    )
    synthesize(config, tmp_path)
    entries = json.loads((tmp_path / "reid_raw.json").read_text(encoding="utf-8"))
    people = {identity.number: person_of(config, identity) for identity in plan_identities(config)}
    assert not all(is_common(person) for person in people.values())
    for entry in entries:
        person = people[entry["id"]]
        assert entry["attributes"].items() >= person.ground_truth().items()
