"""A folder of images with one CSV file."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personsearch.errors import UserError


@pytest.fixture
def csv_folder(tmp_path: Path, write_images: Callable[..., None]) -> Callable[..., Path]:
    def write(text: str, *, images: tuple[str, ...] = ("a.jpg", "b.jpg", "c.jpg"), name: str = "captions.csv") -> Path:
        write_images(tmp_path / "mine", images)
        (tmp_path / "mine" / name).write_text(text, encoding="utf-8")
        return tmp_path / "mine"

    return write


def test_several_lines_are_one_image_with_several_captions(
    csv_folder: Callable[..., Path], run_prepare: Callable[..., Any]
) -> None:
    text = (
        "image,person_id,caption,split,camera_id,attributes\n"
        'a.jpg,7,"a man, tall",train,gate 1,"{""hat"": true}"\n'
        "b.jpg,8,a woman,test,,\n"
        "a.jpg,7,he carries a bag,train,gate 1,\n"
    )
    prepared = run_prepare(csv_folder(text))
    first, second = prepared.records
    assert (first.person_id, first.split, first.camera_id) == (7, "train", "gate 1")
    assert first.captions == ["a man, tall", "he carries a bag"]
    assert first.attributes == '{"hat": true}'
    assert (second.person_id, second.captions, second.camera_id) == (8, ["a woman"], None)


def test_identities_may_be_names(csv_folder: Callable[..., Path], run_prepare: Callable[..., Any]) -> None:
    text = "image,person_id,caption,split\na.jpg,zoe,one,train\nb.jpg,adam,two,train\nc.jpg,zoe,three,train\n"
    prepared = run_prepare(csv_folder(text))
    assert [record.person_id for record in prepared.records] == [2, 1, 2]
    assert prepared.statistics["identity_names"] == {"adam": 1, "zoe": 2}


def test_without_a_split_column_identities_are_divided(
    tmp_path: Path, csv_folder: Callable[..., Path], run_prepare: Callable[..., Any]
) -> None:
    images = tuple(f"{person}_{view}.jpg" for person in range(20) for view in range(2))
    lines = [f"{name},{name.split('_')[0]},caption of {name}" for name in images]
    prepared = run_prepare(csv_folder("image,person_id,caption\n" + "\n".join(lines), images=images))
    split_of = {record.person_id: record.split for record in prepared.records}
    assert sorted(split_of.values()) == ["test"] * 2 + ["train"] * 16 + ["val"] * 2
    assert all(split_of[record.person_id] == record.split for record in prepared.records)


def test_lines_that_disagree_about_an_image_are_refused(
    csv_folder: Callable[..., Path], run_prepare: Callable[..., Any]
) -> None:
    text = "image,person_id,caption,split\na.jpg,1,one,train\na.jpg,2,two,train\nb.jpg,2,,train\nc.jpg,2,x,\n"
    prepared = run_prepare(csv_folder(text))
    assert prepared.reasons == [
        (3, "image-listed-again"),
        (4, "caption-empty"),
        (4, "no-caption-left"),
        (5, "split-invalid"),
    ]


def test_a_back_translation_column(csv_folder: Callable[..., Path], run_prepare: Callable[..., Any]) -> None:
    text = "image,person_id,caption,split,caption_bt\na.jpg,1,a coat,train,one coat\n"
    assert run_prepare(csv_folder(text)).records[0].captions_bt == ["one coat"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,caption\na.jpg,x\n", "columns missing: person_id; found: image, caption"),
        (b"", "columns missing: image, person_id, caption"),
        (
            b"image;person_id;caption\na.jpg;1;x\n",
            "found: image;person_id;caption; columns separated by commas expected",
        ),
        (b"image,person_id,caption\na.jpg,1,\xe9t\xe9\n", "not UTF-8"),
        (b"image,person_id,caption\n", "none of 0 rows"),
    ],
)
def test_broken_tables_give_one_line(
    csv_folder: Callable[..., Path], run_prepare: Callable[..., Any], content: bytes, message: str
) -> None:
    source = csv_folder("")
    (source / "captions.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        run_prepare(source)


@pytest.mark.parametrize(("on_disk", "in_csv"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accented_file_names_are_found_in_either_form(
    csv_folder: Callable[..., Path], run_prepare: Callable[..., Any], on_disk: str, in_csv: str
) -> None:
    stored, written = (unicodedata.normalize(form, "élan/Zoë 1.jpg") for form in (on_disk, in_csv))
    text = f"image,person_id,caption,split\n{written},1,a coat,train\n"
    prepared = run_prepare(csv_folder(text, images=(stored,)))
    assert prepared.refused == []
    assert len(prepared.records) == 1


def test_a_name_is_one_person_in_either_form(csv_folder: Callable[..., Path], run_prepare: Callable[..., Any]) -> None:
    lines = [
        f"{image},{unicodedata.normalize(form, 'Zoë')},x,{form}" for image, form in (("a.jpg", "NFC"), ("b.jpg", "NFD"))
    ]
    prepared = run_prepare(csv_folder("image,person_id,caption,camera_id\n" + "\n".join(lines)))
    assert [record.person_id for record in prepared.records] == [1, 1]
    assert prepared.statistics["identity_names"] == {"Zoë": 1}


def test_ragged_lines_are_items_not_failures(csv_folder: Callable[..., Path], run_prepare: Callable[..., Any]) -> None:
    text = "image,person_id,caption,split\na.jpg,1\nb.jpg,2,fine,train,surplus,surplus\n\nc.jpg,3,good,train\n"
    prepared = run_prepare(csv_folder(text))
    assert [record.origin for record in prepared.records] == ["b.jpg", "c.jpg"]
    assert prepared.reasons == [(2, "split-invalid")]
