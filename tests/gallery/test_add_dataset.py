"""A prepared data set becomes crops, once, whatever some of its files are."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from personsearch.data.records import ImageRecord, write_manifest
from personsearch.errors import UserError
from personsearch.gallery.add_dataset import add_dataset
from personsearch.integrations.database.gallery import gallery_in

START = datetime(2026, 1, 1, tzinfo=UTC)


def record(image_id: str, path: str, *, split: str = "test", camera: str | None = None) -> ImageRecord:
    return ImageRecord(image_id, path, 7, split, ["a person"], "ours", camera_id=camera)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "prepared"
    folder.mkdir()
    Image.new("RGB", (30, 60), "red").save(folder / "a.jpg")
    Image.new("CMYK", (20, 40)).save(folder / "b.jpg")
    Image.new("RGBA", (10, 20), "blue").save(folder / "c.png")
    (folder / "d.jpg").write_text("no picture")
    rows = [record("i1", "a.jpg", camera="c1"), record("i2", "b.jpg"), record("i3", "c.png", camera="gate 3")]
    write_manifest(folder, [*rows, record("i4", "d.jpg"), record("i5", "a.jpg", split="train")])
    return folder


def test_each_readable_image_of_the_split_becomes_a_track(dataset: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path / "gallery")
    metrics = add_dataset(dataset, gallery, split="test", start=START)
    assert metrics == {"images": 4, "images_rejected": 1, "crops_added": 3, "crops_erased_before": 0}
    crops = list(gallery.crops())
    assert [c.track_id for c in crops] == ["dataset:i1", "dataset:i2", "dataset:i3"]
    assert [c.camera_id for c in crops] == ["c1", "dataset", "gate 3"]
    assert [c.captured_at for c in crops] == [START + timedelta(seconds=n) for n in range(3)]
    assert gallery.picture(crops[0]) == (dataset / "a.jpg").read_bytes()
    for crop, size in zip(crops, [(30, 60), (20, 40), (10, 20)], strict=True):
        with Image.open(io.BytesIO(gallery.picture(crop))) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", size)
            assert (crop.bbox.width, crop.bbox.height) == size


def test_adding_again_adds_nothing(dataset: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path / "gallery")
    add_dataset(dataset, gallery, split="test", start=START)
    assert add_dataset(dataset, gallery, split="test", start=START)["crops_added"] == 0
    assert gallery.count() == 3


def test_what_is_not_there_is_named(dataset: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path / "gallery")
    with pytest.raises(UserError, match="no images in split 'val'"):
        add_dataset(dataset, gallery, split="val", start=START)
    with pytest.raises(UserError, match="'everything'"):
        add_dataset(dataset, gallery, split="everything", start=START)
    with pytest.raises(UserError, match="not a prepared data set"):
        add_dataset(tmp_path, gallery, split="test", start=START)
    with pytest.raises(UserError, match="time zone"):
        add_dataset(dataset, gallery, split="test", start=datetime(2026, 1, 1))
