"""Which format a folder is in."""

from pathlib import Path

import pytest

from personsearch.data.readers import find_format
from personsearch.errors import UserError


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("reid_raw.json", "cuhk-pedes"),
        ("ICFG-PEDES.json", "icfg-pedes"),
        ("ICFG_PEDES.json", "icfg-pedes"),
        ("data_captions.json", "rstpreid"),
        ("UFine6926.json", "ufine6926"),
        ("train_reid.json", "tbps-clip"),
        ("anything.csv", "csv-folder"),
    ],
)
def test_auto_knows_each_annotation_file(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).touch()
    layout, annotations = find_format(tmp_path)
    assert layout.name == found
    assert annotations == [tmp_path / name]


def test_two_formats_in_one_folder_need_a_choice(tmp_path: Path) -> None:
    for name in ("reid_raw.json", "train_reid.json", "notes.csv"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="--format cuhk-pedes or tbps-clip"):
        find_format(tmp_path)
    assert find_format(tmp_path, "tbps-clip")[0].name == "tbps-clip"


def test_a_published_annotation_wins_over_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "reid_raw.json").touch()
    (tmp_path / "notes.csv").touch()
    assert find_format(tmp_path)[0].name == "cuhk-pedes"


def test_hidden_csv_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").touch()
    (tmp_path / "._mine.csv").write_bytes(b"\0\5\x16\7")
    assert find_format(tmp_path)[1] == [tmp_path / "mine.csv"]


def test_of_several_csv_files_the_one_with_the_columns_is_read(tmp_path: Path) -> None:
    (tmp_path / "cameras.csv").write_text("camera,place\n")
    (tmp_path / "damaged.csv").write_bytes(b"\xff\xfe")
    (tmp_path / "mine.csv").write_text("image, person_id, caption, split\n")
    assert find_format(tmp_path)[1] == [tmp_path / "mine.csv"]
    (tmp_path / "theirs.csv").write_text("image,person_id,caption\n")
    with pytest.raises(
        UserError, match=r"several CSV files \(.*, mine\.csv, theirs\.csv\); rename .* to captions\.csv"
    ):
        find_format(tmp_path)
    (tmp_path / "reid_raw.json").touch()
    assert find_format(tmp_path)[0].name == "cuhk-pedes"


def test_what_is_expected_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no annotation file found; reid_raw\.json or"):
        find_format(tmp_path)
    with pytest.raises(UserError, match=r"data_captions\.json expected"):
        find_format(tmp_path, "rstpreid")
    with pytest.raises(UserError, match="no such file or folder; the folder of a data set expected"):
        find_format(tmp_path / "absent")
    (tmp_path / "UFine6926.json").symlink_to(tmp_path / "gone.json")
    with pytest.raises(UserError, match="no annotation file found"):
        find_format(tmp_path)
    (tmp_path / "file.json").touch()
    with pytest.raises(UserError, match="is a file"):
        find_format(tmp_path / "file.json")
