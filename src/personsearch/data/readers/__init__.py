"""The data set formats that `prepare` reads, and how it tells them apart."""

from pathlib import Path
from typing import Literal, get_args

from personsearch.data.readers.csv_folder import CSV_FOLDER, csv_files
from personsearch.data.readers.published import CUHK_PEDES, ICFG_PEDES, RSTPREID, TBPS_CLIP, UFINE6926
from personsearch.data.readers.row import AnnotationRow, DatasetFormat, PublishedSplit
from personsearch.errors import UserError, check_exists

__all__ = ["AnnotationRow", "DatasetFormat", "FormatName", "PublishedSplit", "find_format"]

FormatName = Literal["auto", "cuhk-pedes", "icfg-pedes", "rstpreid", "ufine6926", "tbps-clip", "csv-folder"]
FORMATS: dict[str, DatasetFormat] = {
    layout.name: layout for layout in (CUHK_PEDES, ICFG_PEDES, RSTPREID, UFINE6926, TBPS_CLIP, CSV_FOLDER)
}
NOT_AN_ANNOTATION = "caption_all.json"


def find_format(source: Path, name: FormatName = "auto") -> tuple[DatasetFormat, list[Path]]:
    """The format of a folder and its annotation files.

    Raises:
        UserError: there is no such folder, it holds no known annotation file, or it holds those of several formats and
            `name` does not choose one.
    """
    _require_folder(source)
    candidates = list(FORMATS.values()) if name == "auto" else [FORMATS[name]]
    found = [(each, files) for each in candidates if (files := each.annotations(source))]
    if len(found) > 1:  # a CSV file beside a published annotation is somebody's notes
        found = [pair for pair in found if pair[0] is not CSV_FOLDER]
    if len(found) > 1:
        names = " or ".join(each.name for each, _ in found)
        raise UserError(f"{source}: holds more than one data set; choose with --format {names}")
    if found:
        return found[0]
    expected = " or ".join(each.expected for each in candidates)
    if (source / NOT_AN_ANNOTATION).is_file():
        raise UserError(f"{source / NOT_AN_ANNOTATION}: has no split and no identities; {CUHK_PEDES.expected} expected")
    if CSV_FOLDER in candidates and (several := csv_files(source)):
        names = ", ".join(path.name for path in several)
        raise UserError(f"{source}: holds several CSV files ({names}); rename the one to read to captions.csv")
    raise UserError(f"{source}: no annotation file found; {expected} expected")


def _require_folder(source: Path) -> None:
    if source.name == NOT_AN_ANNOTATION:
        raise UserError(f"{source}: has no split and no identities; the folder of {CUHK_PEDES.expected} expected")
    if source.is_file():
        raise UserError(f"{source}: is a file; the folder that holds the annotation and the images expected")
    check_exists(source, "the folder of a data set")


assert set(FORMATS) | {"auto"} == set(get_args(FormatName))
