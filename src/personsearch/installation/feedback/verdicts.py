"""Who is who by people's verdicts, what describes them, and what does not.

Crops of a track show one person. So do all tracks confirmed for one description, unless the answer said that many fit
it: those tracks stay different people, of one group.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from personsearch.data.checks import Refused, clean_caption
from personsearch.data.records import REJECTED_FOR, Split
from personsearch.gallery.store import BATCH, Gallery
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter
from personsearch.search.searcher import MANY, track_of

TEST_SHARE, VAL_SHARE = 0.25, 0.1
MAX_WORDS = 200

Track = tuple[str, str, str]
T = TypeVar("T", bound=Hashable)


class VerdictLog(Protocol):
    """Where searches and verdicts are recorded; an AuditLog is one."""

    def judged_searches(self) -> Iterable[Mapping[str, Any]]: ...

    def records(self, event: str) -> Iterable[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was last said of a crop under a description; `many` if the answer said that many fit it."""

    text: str
    crop_id: str
    is_confirmed: bool
    many: bool = False


@dataclass(frozen=True, slots=True)
class JudgedCrop:
    """A crop that was judged, the person whom it shows, what describes it and what does not.

    `group` is shared by different people whom one description fits.
    """

    crop: Crop
    person: int
    split: Split
    captions: tuple[str, ...]
    rejected_for: tuple[str, ...]
    group: str = ""

    @property
    def attributes(self) -> str | None:
        """What the manifest keeps of it beside its captions."""
        values: dict[str, Any] = {"group": self.group} if self.group else {}
        if self.rejected_for:
            values[REJECTED_FOR] = list(self.rejected_for)
        return json.dumps(values, sort_keys=True) if values else None


def read_judgements(log: VerdictLog) -> tuple[list[Judgement], Counter[str]]:
    """The latest verdict on each crop under each description, in the order in which the first was given, and how many
    verdicts were left out by reason. Those on answers to pictures or to several descriptions say nothing of one alone.

    Raises:
        UserError: the log cannot be read.
    """
    searches = {search["request_id"]: search for search in log.judged_searches()}
    texts: dict[str, str] = {}
    latest: dict[tuple[str, str], Judgement | None] = {}
    left_out: Counter[str] = Counter()
    for verdict in log.records("verdict"):
        search = searches.get(verdict["search_request_id"])
        if search is None or search.get("beside_text") or not search["query"].strip():
            left_out["verdicts_of_other_queries"] += 1
            continue
        try:
            text = clean_caption(search["query"], MAX_WORDS)
        except Refused:
            left_out["verdicts_of_refused_descriptions"] += 1
            continue
        text = texts.setdefault(text.casefold(), text)
        many = (search.get("fitting") or 0) >= MANY
        said = Judgement(text, verdict["crop_id"], verdict["verdict"] == "confirmed", many)
        latest[text, said.crop_id] = None if verdict["verdict"] == "withdrawn" else said
    return [each for each in latest.values() if each is not None], left_out


def held_crops(gallery: Gallery, judgements: Sequence[Judgement]) -> dict[str, Crop]:
    """The crops among the judged ones that the gallery holds, by id; erased ones are not there.

    Raises:
        UserError: the gallery cannot be read.
    """
    ids = list(dict.fromkeys(each.crop_id for each in judgements))
    batches = (tuple(ids[start : start + BATCH]) for start in range(0, len(ids), BATCH))
    return {crop.crop_id: crop for batch in batches for crop in gallery.crops(CropFilter(crop_ids=batch))}


def judged_crops(judgements: Sequence[Judgement], crops: Mapping[str, Crop]) -> tuple[list[JudgedCrop], Counter[str]]:
    """What the verdicts on these crops say, and how many of them were left out by reason.

    People are split by a hash of the first description that was confirmed for them, also on a crop that is erased now.
    So no person is in two splits, and everybody stays where they are while verdicts come in and tracks are erased. A
    rejection counts only beside a confirmed crop of the same description and split.
    """
    held = [each for each in judgements if each.crop_id in crops]
    tracks = {each.crop_id: track_of(crops[each.crop_id]) for each in held}
    confirmed = [each for each in held if each.is_confirmed]
    people, groups = _Components[Track](), _Components[Track]()
    for each in confirmed:
        people.name(tracks[each.crop_id])
    _join_by_text(people, ((each.text, tracks[each.crop_id]) for each in confirmed if not each.many))
    _join_by_text(groups, ((each.text, people.name(tracks[each.crop_id])) for each in confirmed))
    fits: dict[str, list[Track]] = {}
    for each in confirmed:
        fits.setdefault(each.text, []).append(people.name(tracks[each.crop_id]))
    captions: dict[str, list[str]] = {}
    for each in confirmed:
        captions.setdefault(each.crop_id, []).append(each.text)
    described = _first_descriptions(judgements, tracks, people)
    splits = {name: _split_of((described[name],) if name in described else name) for name in people.names()}
    rejections, left_out = _rejections(held, tracks, people, fits, splits)
    numbers = {name: number for number, name in enumerate(splits)}
    shared = Counter(groups.name(name) for name in set().union(*fits.values()) if name in splits)
    return [
        JudgedCrop(
            crop=crops[crop_id],
            person=numbers[name],
            split=splits[name],
            captions=tuple(captions.get(crop_id, ())),
            rejected_for=tuple(rejections.get(crop_id, ())),
            group=f"verdicts-{numbers[groups.name(name)]}" if shared[groups.name(name)] > 1 else "",
        )
        for crop_id, track in tracks.items()
        if (name := people.name(track)) in splits and (crop_id in captions or crop_id in rejections)
    ], left_out


def _rejections(
    held: Sequence[Judgement],
    tracks: Mapping[str, Track],
    people: "_Components[Track]",
    fits: Mapping[str, Sequence[Track]],
    splits: dict[Track, Split],
) -> tuple[dict[str, list[str]], Counter[str]]:
    """The descriptions that each crop was rejected for. Somebody who was never confirmed goes into the split of the
    first of them.
    """
    found: dict[str, list[str]] = {}
    left_out: Counter[str] = Counter()
    for each in (said for said in held if not said.is_confirmed):
        name, right = people.name(tracks[each.crop_id]), fits.get(each.text, ())
        if not right:
            left_out["rejections_without_a_confirmed_crop"] += 1
        elif name in right:
            left_out["rejections_of_a_confirmed_person"] += 1
        elif splits.setdefault(name, splits[right[0]]) not in {splits[other] for other in right}:
            left_out["rejections_across_splits"] += 1
        else:
            found.setdefault(each.crop_id, []).append(each.text)
    return found, left_out


def _first_descriptions(
    judgements: Iterable[Judgement], tracks: Mapping[str, Track], people: "_Components[Track]"
) -> dict[Track, str]:
    """The first description of each person, where one fits them alone. Descriptions of one crop or person belong
    together, and those of erased crops still do.
    """
    texts, first = _Components[str](), dict[str | Track, str]()
    for each in judgements:
        if each.is_confirmed and not each.many:
            shown_in: list[str | Track] = [each.crop_id]
            if each.crop_id in tracks:
                shown_in.append(people.name(tracks[each.crop_id]))
            for shown in shown_in:
                texts.join(first.setdefault(shown, each.text), each.text)
    return {person: texts.name(text) for person, text in first.items() if not isinstance(person, str)}


def _split_of(name: tuple[str, ...]) -> Split:
    share = int.from_bytes(hashlib.sha256("\0".join(name).encode()).digest()[:4]) / 2**32
    return "test" if share < TEST_SHARE else "val" if share < TEST_SHARE + VAL_SHARE else "train"


def _join_by_text(components: "_Components[Track]", described: Iterable[tuple[str, Track]]) -> None:
    first: dict[str, Track] = {}
    for text, track in described:
        components.join(first.setdefault(text, track), track)


class _Components(Generic[T]):
    """Tracks, or descriptions, that belong together; a component has the name of the one that came first."""

    def __init__(self) -> None:
        self._parents: dict[T, T] = {}
        self._places: dict[T, int] = {}

    def name(self, track: T) -> T:
        """The name of a track's component; a new track is one of its own."""
        self._places.setdefault(track, len(self._places))
        while (parent := self._parents.setdefault(track, track)) != track:
            track = parent
        return track

    def names(self) -> list[T]:
        """Every component, in the order in which they came."""
        return [track for track in self._places if self._parents[track] == track]

    def join(self, one: T, other: T) -> None:
        """Let two tracks belong together."""
        first, second = sorted((self.name(one), self.name(other)), key=self._places.__getitem__)
        self._parents[second] = first
