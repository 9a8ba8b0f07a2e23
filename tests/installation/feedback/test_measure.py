"""A model is measured on what people judged, on people who are kept out of training."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from personsearch.evaluation.gate import VERDICT_ABOVE, VERDICT_DESCRIPTIONS, VERDICT_R1, GateConfig
from personsearch.installation.feedback.measure import JudgedPictures, judged_pictures, measure_on_verdicts, on_verdicts
from personsearch.installation.feedback.verdicts import JudgedCrop
from personsearch.integrations.database.gallery import gallery_in
from tests.crops import make_crop
from tests.installation.feedback.test_verdicts import Log
from tests.serving.colours import ColourEncoder, figure


class Mixed(ColourEncoder):
    """Takes green for red."""

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors_NC = super().encode_images(pixels_NHW3)
        return vectors_NC[:, [1, 0, 2, 3, 4, 5]]


def judged(name: str, *captions: str, rejected_for: tuple[str, ...] = ()) -> JudgedCrop:
    return JudgedCrop(make_crop(name), 0, "test", captions, rejected_for)


JUDGED = JudgedPictures(
    [
        judged("red", "in red", rejected_for=("in green",)),
        judged("green", "in green", rejected_for=("in red",)),
        judged("blue", "in blue", rejected_for=("in red", "in green")),
        judged("white", rejected_for=("in red",)),
    ],
    [figure(colour) for colour in ("red", "green", "blue", "white")],
)


def test_each_description_counts_alike() -> None:
    """The text "in red" has three rejected figures and "in green" two; "in blue" has none, so it does not count."""
    assert measure_on_verdicts(ColourEncoder(), JUDGED) == {
        VERDICT_ABOVE: 100.0,
        VERDICT_R1: 100.0,
        VERDICT_DESCRIPTIONS: 2,
    }
    # of "in red" the green figure comes first, then red, blue and white by their greys; the same for "in green"
    found = measure_on_verdicts(Mixed(), JUDGED)
    assert found == {VERDICT_ABOVE: pytest.approx(50 * (2 / 3 + 1 / 2)), VERDICT_R1: 0.0, VERDICT_DESCRIPTIONS: 2}


def test_without_a_pair_there_is_nothing_to_measure() -> None:
    assert measure_on_verdicts(ColourEncoder(), JudgedPictures([], []))[VERDICT_DESCRIPTIONS] == 0


def test_only_test_people_are_measured_and_lost_pictures_are_left_out(tmp_path: Path) -> None:
    gallery, log = gallery_in(tmp_path), Log()
    crops = [make_crop(f"c{number:02d}", track_id=f"t{number}") for number in range(40)]
    gallery.add((crop, figure("red")) for crop in crops)
    for crop in crops:
        log.search(f"text of {crop.crop_id}", {crop.crop_id: "confirmed"})
    found = judged_pictures(log, gallery)
    assert {each.split for each in found.crops} == {"test"}
    assert 0 < len(found.crops) < 40
    (tmp_path / found.crops[0].crop.image_uri).unlink()
    (tmp_path / found.crops[1].crop.image_uri).write_bytes(b"\xff\xd8\xff damaged")
    left = judged_pictures(log, gallery)
    assert [each.crop for each in left.crops] == [each.crop for each in found.crops[2:]]
    assert measure_on_verdicts(ColourEncoder(), left)[VERDICT_DESCRIPTIONS] == 0


@pytest.mark.parametrize("most", [None, 2.0])
def test_nothing_is_opened_where_the_gate_does_not_look_or_nobody_judged(
    most: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    assert on_verdicts(GateConfig(max_verdict_regression=most), tmp_path / "no-bundle", "personsearch") is None
    assert not (tmp_path / "home" / "gallery.db").exists()
