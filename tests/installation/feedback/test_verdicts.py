"""Verdicts say who is who, what describes them and what does not."""

from typing import Any

import pytest

from personsearch.data.records import ImageRecord
from personsearch.data.sampler import Groups
from personsearch.installation.feedback.verdicts import (
    TEST_SHARE,
    VAL_SHARE,
    JudgedCrop,
    Judgement,
    judged_crops,
    read_judgements,
)
from personsearch.search.crop import Crop
from tests.crops import make_crop

RED, BLUE = "a woman in a red coat", "a man in a blue coat"


class Log:
    """Searches and verdicts on them, as the audit log gives them."""

    def __init__(self) -> None:
        self.searches: list[dict[str, Any]] = []
        self.verdicts: list[dict[str, Any]] = []

    def search(self, text: str, said: dict[str, str], **more: Any) -> "Log":
        number = f"s{len(self.searches)}"
        self.searches.append({"request_id": number, "query": text, **more})
        self.verdicts += [
            {"search_request_id": number, "crop_id": crop_id, "verdict": word} for crop_id, word in said.items()
        ]
        return self

    def judged_searches(self) -> list[dict[str, Any]]:
        return self.searches

    def records(self, event: str) -> list[dict[str, Any]]:
        assert event == "verdict"
        return self.verdicts


def crops(*names: str) -> dict[str, Crop]:
    """`a1` is a crop of the track `a`."""
    return {name: make_crop(name, track_id=name[0]) for name in names}


def said(text: str, many: bool = False, **verdicts: bool) -> list[Judgement]:
    return [Judgement(text, crop_id, confirmed, many) for crop_id, confirmed in verdicts.items()]


def by_crop(judgements: list[Judgement]) -> dict[str, JudgedCrop]:
    found, _ = judged_crops(judgements, crops(*(each.crop_id for each in judgements)))
    return {each.crop.crop_id: each for each in found}


def test_the_latest_verdict_on_a_description_counts_however_it_is_written() -> None:
    log = Log().search(RED, {"a1": "rejected", "b1": "confirmed", "c1": "confirmed"})
    log.search("  A woman in a RED coat", {"a1": "confirmed", "c1": "withdrawn"})
    judgements, left_out = read_judgements(log)
    assert judgements == said(RED, a1=True, b1=True)
    assert not left_out


def test_a_verdict_on_a_picture_says_nothing_of_a_description() -> None:
    log = Log().search("", {"a1": "confirmed"}, beside_text={"like": "z"})
    log.search(RED, {"a1": "confirmed"}, beside_text={"without": ["a hat"]}).search(RED, {"b1": "confirmed"})
    judgements, left_out = read_judgements(log)
    assert judgements == said(RED, b1=True)
    assert left_out == {"verdicts_of_other_queries": 2}


def test_tracks_confirmed_for_one_description_are_one_person() -> None:
    found = by_crop(said(RED, a1=True, b1=True) + said(BLUE, c1=True) + said("another word for red", b2=True, d1=True))
    assert [each.person for each in found.values()] == [0, 0, 1, 0, 0]
    assert found["a1"].captions == (RED,)
    assert found["b2"].captions == ("another word for red",)
    assert {each.group for each in found.values()} == {""}


def test_those_whom_a_description_fits_among_many_stay_different_people_of_one_group() -> None:
    found = by_crop(said("a woman", many=True, a1=True, b1=True) + said(RED, a1=True) + said(BLUE, c1=True))
    assert [each.person for each in found.values()] == [0, 1, 2]
    assert found["a1"].group == found["b1"].group != "" == found["c1"].group
    assert found["a1"].captions == ("a woman", RED)
    records = [
        ImageRecord(name, "", each.person, "train", list(each.captions), "", attributes=each.attributes)
        for name, each in found.items()
    ]
    groups = Groups.of(records)
    assert groups is not None
    assert groups.group_G[0] == groups.group_G[1] != groups.group_G[2]


def test_a_rejected_crop_names_the_descriptions_that_do_not_fit_it() -> None:
    found = by_crop(said(RED, a1=True, x1=False))
    assert (found["x1"].captions, found["x1"].rejected_for) == ((), (RED,))
    assert found["x1"].split == found["a1"].split
    assert found["x1"].person != found["a1"].person


def test_rejections_that_teach_nothing_are_counted() -> None:
    judgements = said(RED, a1=True, a2=False) + said(BLUE, x1=False)
    found, left_out = judged_crops(judgements, crops("a1", "a2", "x1"))
    assert [each.crop.crop_id for each in found] == ["a1"]
    assert left_out == {"rejections_of_a_confirmed_person": 1, "rejections_without_a_confirmed_crop": 1}


def test_no_person_and_no_rejected_crop_is_in_two_splits() -> None:
    judgements = []
    for number in range(200):
        names = {f"{number:03d}-{kind}": kind == "right" for kind in ("right", "wrong")}
        judgements += [Judgement(f"text {number}", crop_id, right) for crop_id, right in names.items()]
        judgements.append(Judgement(f"text {number}", "always-wrong", False))
    held = {each.crop_id: make_crop(each.crop_id, track_id=each.crop_id) for each in judgements}
    found, left_out = judged_crops(judgements, held)
    splits: dict[int, set[str]] = {}
    text_splits: dict[str, set[str]] = {}
    for each in found:
        splits.setdefault(each.person, set()).add(each.split)
        for text in (*each.captions, *each.rejected_for):
            text_splits.setdefault(text, set()).add(each.split)
    assert all(len(each) == 1 for each in [*splits.values(), *text_splits.values()])
    shares = [sum(each == {split} for each in splits.values()) / len(splits) for split in ("test", "val")]
    assert shares == pytest.approx([TEST_SHARE, VAL_SHARE], abs=0.08)
    assert left_out["rejections_across_splits"] > 0


def test_a_person_stays_in_their_split_while_verdicts_come_in() -> None:
    first = {name: [Judgement(f"text {name}", f"{name}1", True)] for name in "abcdefghij"}
    alone = by_crop([each for given in first.values() for each in given])
    more = [each for given in first.values() for each in given]
    more += [Judgement(f"text {name}", f"{name.upper()}2", True) for name in first]
    later = by_crop(more)
    assert {name: each.split for name, each in later.items() if name in alone} == {
        name: each.split for name, each in alone.items()
    }
    assert len({each.split for each in alone.values()}) > 1


def test_a_person_stays_in_their_split_when_their_first_track_is_erased() -> None:
    judgements, held = [], {}
    for number in range(40):
        for track in ("first", "second"):
            name = f"{number}-{track}"
            judgements.append(Judgement(f"text {number}", name, True))
            held[name] = make_crop(name, track_id=name)
        judgements.append(Judgement(f"later text {number}", f"{number}-second", True))
    before = {each.crop.crop_id: each.split for each in judged_crops(judgements, held)[0]}
    left = {name: crop for name, crop in held.items() if name.endswith("second")}
    after = {each.crop.crop_id: each.split for each in judged_crops(judgements, left)[0]}
    assert after == {name: before[name] for name in left}
    assert set(after.values()) == {"train", "val", "test"}


def test_crops_that_are_gone_are_left_out() -> None:
    found, _ = judged_crops(said(RED, a1=True, b1=True, x1=False), crops("b1"))
    assert [each.crop.crop_id for each in found] == ["b1"]
