"""The published data sets: JSON whose rows are nearly the same, {split, id, file_path or img_path, captions}."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from personsearch.data.readers.json_stream import stream_items
from personsearch.data.readers.row import AnnotationRow, DatasetFormat, PublishedSplit
from personsearch.data.records import SPLITS

MARKET_CAMERA = re.compile(r"_(c\d)s\d_")
RSTPREID_CAMERA = re.compile(r"_(c\d+)_")

CameraOf = Callable[[str], str | None]


def cuhk_pedes_camera(image: str) -> str | None:
    """The camera where the path names it: `cam_a/…`, `cam_b/…`, and Market-1501's `…_c3s1_…`."""
    folder = image.removeprefix("./").partition("/")[0]
    if folder.startswith("cam_"):
        return folder
    match = MARKET_CAMERA.search(image) if folder == "Market" else None
    return f"market_{match[1]}" if match else None


def msmt17_camera(image: str) -> str | None:
    """The camera in a name from MSMT17, `<identity>_<number>_<camera>_<time>_…`."""
    fields = Path(image).stem.split("_")
    return f"c{fields[2]}" if len(fields) >= 4 and fields[2].isdigit() else None


def rstpreid_camera(image: str) -> str | None:
    """The camera in a name such as `0000_c14_0031.jpg`."""
    match = RSTPREID_CAMERA.search(image)
    return match[1] if match else None


def json_rows(
    annotation: Path, *, image_key: str = "file_path", camera_of: CameraOf | None = None, split: str | None = None
) -> Iterator[AnnotationRow]:
    """Read one annotation file. `split` overrides the rows, for formats whose file names give it.

    An item that is not an object becomes a row of nothing, which the checks refuse by its number.

    Raises:
        UserError: the file is not JSON.
    """
    for number, item in enumerate(stream_items(annotation), start=1):
        values: dict[str, Any] = item if isinstance(item, dict) else {}
        image = values.get(image_key, values.get("file_path", values.get("img_path")))
        derived = camera_of(image) if camera_of and isinstance(image, str) else None
        yield AnnotationRow(
            number=number,
            annotation=annotation.name,
            image=image,
            person=values.get("id"),
            split=split or values.get("split"),
            captions=values.get("captions"),
            captions_bt=values.get("captions_bt"),
            camera_id=values.get("camera_id", derived),
            attributes=values.get("attributes"),
        )


def existing(*names: str) -> Callable[[Path], list[Path]]:
    """A finder of the first of these files that a folder holds: a list of one, or an empty one."""

    def find(source: Path) -> list[Path]:
        return next(([source / name] for name in names if (source / name).is_file()), [])

    return find


def tbps_clip_annotations(source: Path) -> list[Path]:
    """`train_reid.json`, `val_reid.json`, `test_reid.json`, or the same without `_reid`; those that exist."""
    return [path for split in SPLITS for path in existing(f"{split}_reid.json", f"{split}.json")(source)]


def tbps_clip_rows(annotation: Path) -> Iterator[AnnotationRow]:
    """Read one split, whose name is the file's."""
    return json_rows(annotation, split=annotation.stem.removesuffix("_reid"))


def ufine6926_annotations(source: Path) -> list[Path]:
    """Every `UFine6926….json` in the folder, in any case: one file, or one per split."""
    named = (path for path in source.glob("*.json") if path.name.lower().startswith("ufine6926"))
    return sorted(path for path in named if path.is_file())


# Li et al., CVPR 2017.
CUHK_PEDES = DatasetFormat(
    name="cuhk-pedes",
    expected="reid_raw.json",
    annotations=existing("reid_raw.json"),
    rows=partial(json_rows, camera_of=cuhk_pedes_camera),
    published={
        "train": PublishedSplit(1, 11003, 34054),
        "val": PublishedSplit(11004, 12003, 3078),
        "test": PublishedSplit(12004, 13003, 3074),
    },
)

# Ding et al., 2021: one caption per image, no val split. Its image folders are called train and test as well, but they
# are those of MSMT17: only the annotation's `split` counts.
ICFG_PEDES = DatasetFormat(
    name="icfg-pedes",
    expected="ICFG-PEDES.json",
    annotations=existing("ICFG-PEDES.json", "ICFG_PEDES.json"),
    rows=partial(json_rows, camera_of=msmt17_camera),
    published={"train": PublishedSplit(0, 3101, 34674), "test": PublishedSplit(3102, 4101, 19848)},
)

# Zhu et al., ACM MM 2021: a list, or an object by index.
RSTPREID = DatasetFormat(
    name="rstpreid",
    expected="data_captions.json",
    annotations=existing("data_captions.json"),
    rows=partial(json_rows, image_key="img_path", camera_of=rstpreid_camera),
    published={
        "train": PublishedSplit(0, 3700, 18505),
        "val": PublishedSplit(3701, 3900, 1000),
        "test": PublishedSplit(3901, 4100, 1000),
    },
)

# Zuo et al., CVPR 2024: about 81 words a caption; `file_path` starts at the data set's folder.
UFINE6926 = DatasetFormat(
    name="ufine6926",
    expected="UFine6926.json",
    annotations=ufine6926_annotations,
    rows=json_rows,
    image_folders=("", "imgs", "images"),
)

# The pre-split files of TBPS-CLIP (Cao et al., AAAI 2024), with back-translations in `captions_bt`.
TBPS_CLIP = DatasetFormat(
    name="tbps-clip", expected="train_reid.json", annotations=tbps_clip_annotations, rows=tbps_clip_rows
)
