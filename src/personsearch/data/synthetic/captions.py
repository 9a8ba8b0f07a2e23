"""Captions as people write them: short queries, sentences, long descriptions of what an image shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from personsearch.data.synthetic.attributes import Person
from personsearch.data.synthetic.phrases import Fact, article, choose, impression, visible_facts
from personsearch.data.synthetic.vocabulary import NEUTRAL_SUBJECTS, SUBJECTS

Facing = Literal["front", "back", "left", "right"]
# Training sees queries as people type them; evaluation uses descriptions that can tell people apart.
TRAINING_STYLES = {"query": 0.2, "sentence": 0.3, "long": 0.5}
DESCRIPTIVE_STYLES = {"long": 1.0}
FACTS_BY_STYLE = {"query": (1, 3), "sentence": (3, 6), "long": (5, 10)}
IMPRESSION_SHARE = 0.25
MOVING = {"push": ("pushing", "pushing", "with"), "ride": ("riding", "riding", "on")}


@dataclass(frozen=True, slots=True)
class Sight:
    """What one image shows: the parts that can be made out, which way the person faces, whether they walk or ride."""

    visible: frozenset[str]
    facing: Facing
    walking: bool
    riding: bool = False


@dataclass(frozen=True, slots=True)
class Captions:
    """The captions of one image, and for each the same facts in other words (a back-translation)."""

    captions: list[str]
    captions_bt: list[str]


def write_captions(
    person: Person,
    sight: Sight,
    rng: np.random.Generator,
    *,
    count: int = 2,
    styles: Mapping[str, float] = TRAINING_STYLES,
) -> Captions:
    """Captions that mention different subsets of what is visible."""
    facts = visible_facts(person, sight.visible)
    captions: list[str] = []
    retold: list[str] = []
    topics_told: set[frozenset[str]] = set()
    while len(captions) < count:
        style = str(rng.choice(list(styles), p=list(styles.values())))
        chosen = choose_facts(facts, style, rng)
        overall = impression(person, sight.visible)
        if style == "query" and overall is not None and rng.random() < IMPRESSION_SHARE:
            chosen = [overall, *(fact for fact in chosen if fact.kind != "wear")]
        topics = frozenset(fact.topic for fact in chosen)
        # Not always, or a person with few visible parts would never get enough captions.
        if topics in topics_told and rng.random() < 0.7:
            continue
        topics_told.add(topics)
        caption = _different(person, sight, chosen, style, rng, from_these=captions)
        captions.append(caption)
        retold.append(_different(person, sight, chosen, style, rng, from_these=[caption]))
    return Captions(captions, retold)


def choose_facts(facts: list[Fact], style: str, rng: np.random.Generator) -> list[Fact]:
    """A weighted subset of the facts, of the style's size, in the order drawn."""
    low, high = FACTS_BY_STYLE[style]
    size = min(len(facts), int(rng.integers(low, high + 1)))
    if size == 0:
        return []
    weights = np.array([fact.weight for fact in facts])
    order = rng.choice(len(facts), size=size, replace=False, p=weights / weights.sum())
    return [facts[int(index)] for index in order]


def _different(
    person: Person, sight: Sight, facts: list[Fact], style: str, rng: np.random.Generator, *, from_these: list[str]
) -> str:
    for _ in range(20):
        caption = _tell(person, sight, facts, style, rng)
        if caption not in from_these:
            return caption
        style = "sentence" if style == "query" else style
    return caption


def _tell(person: Person, sight: Sight, facts: list[Fact], style: str, rng: np.random.Generator) -> str:
    if style == "query":
        return _query(person, sight, facts, rng)
    text = _sentence(person, sight, facts, rng) if style == "sentence" else _long(person, sight, facts, rng)
    return text[0].upper() + text[1:]


def subject(person: Person, sight: Sight, rng: np.random.Generator) -> str:
    """A noun for the person, sometimes one that hides the gender."""
    if sight.riding and "vehicle" in sight.visible and rng.random() < 0.12:
        return "cyclist"
    return choose(NEUTRAL_SUBJECTS if rng.random() < 0.13 else SUBJECTS[person.gender], rng)


def _query(person: Person, sight: Sight, facts: list[Fact], rng: np.random.Generator) -> str:
    noun = subject(person, sight, rng)
    who = noun if noun == "someone" else article(noun) if rng.random() < 0.7 else noun
    worn = [fact.phrase(rng) for fact in facts if fact.kind == "wear"]
    other = [_with(fact, rng) for fact in facts if fact.kind != "wear"]
    link = choose(("in", "in", "wearing", "with", "dressed in"), rng)
    pieces = ([f"{link} {listed(worn, rng)}"] if worn else []) + other
    tail = f" {_view(sight, rng)}" if rng.random() < 0.12 or not pieces else ""
    return f"{who} {' '.join(pieces)}{tail}".replace("  ", " ").strip()


def _sentence(person: Person, sight: Sight, facts: list[Fact], rng: np.random.Generator) -> str:
    noun = subject(person, sight, rng)
    who = choose(("the", "a", "this"), rng) + " " + noun if noun != "someone" else noun
    if who.startswith("a "):
        who = article(noun)
    worn = [fact.phrase(rng) for fact in facts if fact.kind == "wear"]
    other = [_with(fact, rng) for fact in facts if fact.kind != "wear"]
    has_view = rng.random() < 0.3
    if not worn:
        return f"{who} {' and '.join(other)} is {_view(sight, rng)}." if other else f"{who} is {_view(sight, rng)}."
    verb = choose(("is wearing", "wears", "is dressed in", "has on", "is wearing"), rng)
    if has_view and rng.random() < 0.5:
        return f"{who} {_view(sight, rng)} {verb} {listed(worn, rng)}{_trail(other)}."
    tail = f" and is {_view(sight, rng)}" if has_view else ""
    return f"{who} {verb} {listed(worn, rng)}{_trail(other)}{tail}."


def _long(person: Person, sight: Sight, facts: list[Fact], rng: np.random.Generator) -> str:
    pronoun = {"man": "he", "boy": "he", "woman": "she", "girl": "she"}[person.gender]
    groups = _grouped(facts, rng)
    first, rest = (groups[0], groups[1:]) if groups else ([], [])
    sentences = [_sentence(person, sight, first, rng)]
    for group in rest:
        sentences.append(_follow_up(pronoun, group, rng))
    if rng.random() < 0.35:
        sentences.append(f"{pronoun} is {_view(sight, rng)}.")
    return " ".join(text[0].upper() + text[1:] for text in sentences)


def _grouped(facts: list[Fact], rng: np.random.Generator) -> list[list[Fact]]:
    """The facts in runs of one to three; clothes usually come before what is carried."""
    ordered = sorted(facts, key=lambda fact: fact.kind != "wear") if rng.random() < 0.6 else facts
    groups, start = [], 0
    while start < len(ordered):
        size = int(rng.integers(1, 4))
        groups.append(ordered[start : start + size])
        start += size
    return groups


def _follow_up(pronoun: str, facts: list[Fact], rng: np.random.Generator) -> str:
    clauses = []
    for kind, verbs in (
        ("wear", ("is wearing", "wears", "also has on")),
        ("have", ("has",)),
        ("carry", ("is carrying", "carries", "has")),
        ("hold", ("is holding", "holds")),
        ("push", ("is pushing", "pushes", "is pushing", "has")),
        ("ride", ("is riding", "rides", "is riding", "is on")),
    ):
        phrases = [fact.phrase(rng) for fact in facts if fact.kind == kind]
        if phrases:
            clauses.append(f"{choose(verbs, rng)} {listed(phrases, rng)}")
    return f"{pronoun} {' and '.join(clauses)}."


def _with(fact: Fact, rng: np.random.Generator) -> str:
    verbs = {"have": ("with",), "carry": ("with", "carrying", "with"), "hold": ("holding", "with"), **MOVING}[fact.kind]
    return f"{choose(verbs, rng)} {fact.phrase(rng)}"


def _trail(pieces: list[str]) -> str:
    return f", {' and '.join(pieces)}" if pieces else ""


def listed(phrases: list[str], rng: np.random.Generator) -> str:
    """The phrases joined as a list: "a, b and c"."""
    if len(phrases) <= 1:
        return "".join(phrases)
    joint = choose((" and ", " and ", ", ", " with "), rng) if len(phrases) == 2 else " and "
    return ", ".join(phrases[:-1]) + joint + phrases[-1]


def _view(sight: Sight, rng: np.random.Generator) -> str:
    views = {
        "front": ("facing the camera", "seen from the front", "walking towards the camera"),
        "back": (
            "seen from behind",
            "turning the back to the camera",
            "walking with the back to the camera",
            "walking away from the camera",
            "facing away",
        ),
        "left": ("walking to the left", "seen from the side", "facing left", "walking"),
        "right": ("walking to the right", "seen from the side", "facing right", "walking"),
    }[sight.facing]
    if sight.riding:
        views = (*(view for view in views if "walking" not in view), "riding past", "on the move")
    elif not sight.walking:
        views = (*(view for view in views if "walking" not in view), "standing", "standing still")
    return choose(views, rng)
