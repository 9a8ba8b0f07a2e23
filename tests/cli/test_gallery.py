"""Adding to the gallery, and erasing from it for good, as typed."""

import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from personsearch.cli import main
from personsearch.gallery.store import Gallery
from personsearch.installation.audit.opening import open_audit
from personsearch.installation.settings import Settings
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.filters import CropFilter
from tests.gallery.ingest.clips import Walker, write_stream

Command = Callable[..., Any]


@pytest.fixture
def personsearch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in an installation of its own; gives the JSON of standard output, or the last error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PERSONSEARCH_GALLERY", raising=False)

    def run(*arguments: object) -> Any:
        monkeypatch.setattr(sys, "argv", ["personsearch", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as exited:
            main()
        captured = capsys.readouterr()
        return captured.err.splitlines()[-1] if exited.value.code else json.loads(captured.out)

    return run


@pytest.fixture
def filled(personsearch: Command, tiny_dataset: Path, tmp_path: Path) -> Gallery:
    """The test split of 8 people, 3 images each, the first captured at nine o'clock, one a second."""
    added = personsearch("gallery", "add-dataset", "--dataset", tiny_dataset, "--start", "2026-03-01T09:00:00Z")
    assert added == {"images": 24, "images_rejected": 0, "crops_added": 24, "crops_erased_before": 0}
    return gallery_in(tmp_path / "home" / "gallery")


def test_add_dataset_adds_a_split_once(
    personsearch: Command, filled: Gallery, tiny_dataset: Path, tmp_path: Path
) -> None:
    again = personsearch("gallery", "add-dataset", "--dataset", tiny_dataset)
    assert (again["crops_added"], again["crops_erased_before"]) == (0, 0)
    first = filled.crop("dataset-8-0")
    assert first is not None
    assert first.captured_at.isoformat() == "2026-03-01T09:00:00+00:00"
    elsewhere = ("--split", "val", "--gallery", tmp_path / "elsewhere")
    assert personsearch("gallery", "add-dataset", "--dataset", tiny_dataset, *elsewhere)["crops_added"] == 24
    assert personsearch("gallery", "show", "--gallery", tmp_path / "elsewhere")["crops"] == 24
    assert filled.count() == 24


def test_the_mistakes_of_add_dataset_are_one_line(personsearch: Command, tiny_dataset: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ((tiny_dataset, "--split", "dev"), "split 'dev': one of train, val, test expected"),
        ((tiny_dataset, "--split", "train"), "no images in split 'train'"),
        ((tiny_dataset, "--start", "2026-03-01"), "the time zone is missing"),
        ((tmp_path / "absent",), "absent: no such file or folder; a prepared data set expected"),
    ):
        assert message in personsearch("gallery", "add-dataset", "--dataset", *arguments)


def test_sweep_removes_pictures_that_belong_to_no_crop(personsearch: Command, filled: Gallery) -> None:
    filled.pictures.write([("images/gate/2026-03-01/nobody.jpg", b"old")])
    assert personsearch("gallery", "sweep", "--dry-run") == {"pictures_without_a_crop": 1, "removed": 0}
    assert personsearch("gallery", "sweep") == {"pictures_without_a_crop": 1, "removed": 1}
    assert sum(len(names) for names in filled.pictures.names()) == filled.count() == 24


def test_erase_tells_before_it_acts_and_then_for_good(
    personsearch: Command, filled: Gallery, tiny_dataset: Path
) -> None:
    chosen = ("--after", "2026-03-01T09:00:05Z", "--before", "2026-03-01T09:00:08Z")
    doomed = [filled.crop(crop_id) for crop_id in ("dataset-9-2", "dataset-10-0", "dataset-10-1")]
    pictures = [filled.folder / crop.image_uri for crop in doomed if crop is not None]
    assert personsearch("gallery", "erase", *chosen, "--dry-run") == {"would_erase": 3}
    assert filled.count() == 24
    assert personsearch("gallery", "erase", *chosen, "--yes")["erased"] == 3
    assert len(pictures) == 3
    assert not any(path.exists() for path in pictures)
    assert [filled.crop(crop.crop_id) for crop in doomed if crop is not None] == [None] * 3
    assert personsearch("gallery", "erase", *chosen, "--yes")["erased"] == 0
    again = personsearch("gallery", "add-dataset", "--dataset", tiny_dataset)
    assert (again["crops_added"], again["crops_erased_before"]) == (0, 3)
    assert filled.count() == 21


def test_all_conditions_of_erase_must_hold(personsearch: Command, filled: Gallery) -> None:
    one, another, *_ = filled.crops(crop_filter=CropFilter(cameras=("camera 0",)))
    assert personsearch("gallery", "erase", "--camera", "nowhere", "--crop", one.crop_id, "--yes")["erased"] == 0
    both = ("--crop", one.crop_id, "--crop", another.crop_id)
    assert personsearch("gallery", "erase", *both, "--track", one.track_id, "--dry-run") == {"would_erase": 1}
    assert personsearch("gallery", "erase", *both, "--camera", one.camera_id, "--yes")["erased"] == 2


@pytest.mark.parametrize(("answer", "left"), [("n\n", 24), ("y\n", 23)])
def test_erase_asks_unless_told_not_to(
    personsearch: Command, filled: Gallery, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    personsearch("gallery", "erase", "--crop", "dataset-8-0")
    assert filled.count() == left


def test_erase_says_what_to_do_where_nobody_can_answer(
    personsearch: Command, filled: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    told = personsearch("gallery", "erase", "--crop", "dataset-8-0")
    assert told == "personsearch: nobody answered, so nothing was changed; --yes does it without asking"
    assert filled.count() == 24


def test_erase_without_a_condition_erases_nothing(personsearch: Command, filled: Gallery) -> None:
    assert "no condition given" in personsearch("gallery", "erase", "--yes")
    assert "'noon': not a time" in personsearch("gallery", "erase", "--after", "noon", "--yes")
    assert filled.count() == 24


def test_footage_is_kept_and_expires(personsearch: Command, tmp_path: Path) -> None:
    walker = Walker((30, 30, 180), 40, 10, foot=150, last=24)
    video = write_stream(tmp_path / "clip.mp4", [walker], times=[index / 10 for index in range(25)])
    start = datetime.now(UTC) - timedelta(days=31)
    command = ("ingest", video, "--camera", "gate", "--start", start.isoformat(), "--detector", "motion")
    kept = tmp_path / "home/videos/gate/clip.mp4"
    personsearch(*command)
    assert not kept.exists()
    personsearch(*command, "--keep-footage")
    assert kept.read_bytes() == video.read_bytes()
    told = {"recordings": 1, "files_of_other_recordings": 0, "recordings_without_a_name": 0}
    expire = ("gallery", "expire-footage", "--days")
    none = {"would_remove": 0, **told, "recordings": 0}
    assert personsearch(*expire, "32", "--yes") == none
    assert personsearch(*expire, "30", "--dry-run") == {"would_remove": 1, **told}
    assert kept.exists()
    assert personsearch(*expire, "30", "--yes") == {"files_removed": 1, **told}
    assert not kept.exists()
    assert video.exists()
    (record,) = open_audit(Settings()).records("footage_removed")
    assert record["files"] == ["gate/clip.mp4"]
    assert personsearch(*expire, "30", "--yes") == none
    assert "a date can have" in personsearch(*expire, "1e9", "--yes")
