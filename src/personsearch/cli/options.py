"""Options that mean the same in every command, and how a command reads what they give."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from personsearch.config import Config, nearest, read_yaml
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.gallery.store import Gallery

PARAMS = Path("params.yaml")
SECTIONS = ("synthesize", "prepare", "augment", "ingest", "index", "demo", "evaluate", "compress", "probe", "gate")
TIME = "ISO 8601 with a time zone (Z or +01:00), such as 2026-03-01T09:00:00Z"

C = TypeVar("C", bound=Config)

Params = Annotated[
    Path | None,
    typer.Option(
        "--params",
        metavar="FILE",
        help="YAML file with a section for each stage; one that is missing means the built-in settings. "
        "[default: params.yaml in the current folder, if there is one]",
        show_default=False,
    ),
]
Dataset = Annotated[
    Path,
    typer.Option("--dataset", metavar="FOLDER", help="Prepared data set, as `personsearch data prepare` writes it."),
]
GalleryFolder = Annotated[
    Path | None,
    typer.Option(
        "--gallery",
        metavar="FOLDER",
        help="Folder of the gallery. "
        "[default: $PERSONSEARCH_GALLERY, else gallery in $PERSONSEARCH_HOME, else var/gallery]",
        show_default=False,
    ),
]


def params_file(given: Path | None) -> Path | None:
    """The file that --params names, else params.yaml in the current folder, else None.

    Raises:
        UserError: it is no mapping of sections, or holds a section that no stage reads.
    """
    path = given or (PARAMS if PARAMS.is_file() else None)
    if path is not None:
        sections = read_yaml(path)
        if not isinstance(sections, dict | None):
            raise UserError(f"{path}: a YAML mapping of sections expected, found {type(sections).__name__}")
        for name in sections or {}:
            if name not in SECTIONS:
                raise UserError(f"{path}: section {name!r}: unknown; {nearest(str(name), SECTIONS)}")
    return path


def configured(kind: type[C], section: str, params: Path | None) -> C:
    """A stage's settings: its `section` of the file that --params names, else of params.yaml, else the defaults.

    Raises:
        UserError: the file given does not exist, or a setting is unknown or fails validation.
    """
    path = params_file(params)
    return kind() if path is None else kind.from_yaml(path, section, optional=True)


def made_gallery(given: Path | None) -> "Gallery":
    """The gallery that --gallery names, else the installation's own; an empty one is made if there is none."""
    from personsearch.installation.platforms import open_gallery
    from personsearch.installation.settings import Settings

    return open_gallery(Settings(), given)


def existing_gallery(given: Path | None) -> "Gallery":
    """The gallery that --gallery names, else the installation's own, for a command that adds nothing to it.

    Raises:
        UserError: there is none.
    """
    from personsearch.installation.platforms import open_existing_gallery
    from personsearch.installation.settings import Settings

    settings = Settings()
    gallery = open_existing_gallery(settings, given)
    if gallery is None:
        folder = given or settings.gallery_folder
        raise UserError(f"{folder}: no gallery; `personsearch ingest` and `personsearch gallery add-dataset` make one")
    return gallery


def picture_file(option: str, path: Path, suffixes: tuple[str, ...]) -> Path:
    """The picture that `option` asks for.

    Raises:
        UserError: it is a folder, or its name has none of the suffixes.
    """
    if path.suffix.lower() not in suffixes or path.is_dir():
        raise UserError(f"{option} {path}: a file name ending in {' or '.join(suffixes)} expected")
    return path


def moment(option: str, text: str) -> datetime:
    """The time that `option` gives.

    Raises:
        UserError: it is no time, has no time zone, or cannot be written in UTC.
    """
    from personsearch.search.filters import checked_moment

    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{option} {text!r}: not a time; {TIME} expected") from error
    if time.tzinfo is None:
        raise UserError(f"{option} {text!r}: the time zone is missing; write {_with_zones(time)}")
    try:
        return checked_moment(time)
    except ValueError as error:
        raise UserError(f"{option} {text!r}: {error}") from error


def start_moment(option: str, text: str) -> datetime:
    """The time of the first frame or image that `option` gives.

    Raises:
        UserError: as `moment`, or it lies in the last year that a time can have, so that later frames have none.
    """
    start = moment(option, text)
    try:
        start.astimezone(UTC) + timedelta(days=366)
    except OverflowError as error:
        raise UserError(f"{option} {text!r}: a year before the last one, 9999, expected") from error
    return start


def optional_moment(option: str, text: str | None) -> datetime | None:
    """The time that `option` gives, or None where it was not given."""
    return None if text is None else moment(option, text)


def _with_zones(time: datetime) -> str:
    """A time without a zone as it would be written in UTC, and in the zone of this machine."""
    in_utc = f"{time.isoformat()}Z for UTC"
    try:
        return f"{in_utc} or {time.astimezone().isoformat()} for local time"
    except (OverflowError, ValueError):  # within a day of the first or last year
        return in_utc
