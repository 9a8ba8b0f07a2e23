"""A site's own calibration: fitted to the verdicts in its audit log, kept for one model, used by its searches.

    <home>/calibrations/<fingerprint>.json

It belongs to a model's fingerprint, so another model never uses it. Removing the file reverts to the model's own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import AwareDatetime, ValidationError

from personsearch.config import describe_validation_error
from personsearch.errors import UserError
from personsearch.evaluation.site_calibration import (
    Fit,
    Judged,
    confidences,
    fit_site_curve,
    held_out_confidences,
    measure_fit,
)
from personsearch.files import private_folder, replacing
from personsearch.search.calibration import SLOPES, CalibratedCurve, Conditions, Level, features

FOLDER = "calibrations"
RELIABLE = 0.5  # of a model that was never calibrated
EVIDENCE = ("scores", "leads", "tracks")
OF_REFERENCE = ("facts", "levels")  # of a calibration that compares with the pictures it was fitted on


class SiteCalibration(CalibratedCurve):
    """The content of `<fingerprint>.json`."""

    format: Literal[1] = 1
    """Version of this file's layout."""

    fingerprint: str
    """The model whose candidates were judged."""

    calibrated_at: AwareDatetime
    """When it was fitted."""

    confirmed: int
    """Confirmed candidates in the fit."""

    rejected: int
    """Rejected candidates in the fit."""

    searches: int
    """Searches that they came from."""


@dataclass(frozen=True)
class Verdicts:
    """What people said of one model's candidates; `without_evidence` counts verdicts on searches whose record does not
    hold their scores, or is missing.
    """

    judged: Judged
    without_evidence: int


@dataclass(frozen=True)
class SiteFit:
    """A calibration for the site, and how confidences agreed with the verdicts before and would after.

    `before` is None for a model that was never calibrated. `after` is measured on searches that the fit had not seen.
    """

    calibration: SiteCalibration
    before: Fit | None
    after: Fit
    first_confirmed: int
    first_rejected: int

    @property
    def is_better(self) -> bool:
        """Whether it agrees better with verdicts that it was not fitted to."""
        return self.before is None or self.after.log_loss < self.before.log_loss


def collect_verdicts(
    searches: Iterable[Mapping[str, Any]],
    verdicts: Iterable[Mapping[str, Any]],
    fingerprint: str,
    prior: CalibratedCurve | None,
) -> Verdicts:
    """The latest verdict on each candidate of each of a model's searches, with what its confidence depends on.

    `searches` and `verdicts` are the records of these events in the audit log, oldest first; `prior` is the model's own
    calibration.
    """
    needed = EVIDENCE + (OF_REFERENCE if prior is not None and prior.reference is not None else ())
    latest: dict[str, dict[str, str]] = {}
    for verdict in verdicts:
        latest.setdefault(verdict["search_request_id"], {})[verdict["crop_id"]] = verdict["verdict"]
    rows: list[tuple[tuple[float, ...], int, int, bool]] = []
    without = 0
    for number, search in enumerate(searches):
        said = latest.get(search["request_id"], {})
        if search.get("fingerprint") != fingerprint or search.get("beside_text"):
            continue
        first = search.get("filters", {}).get("first_rank", 1)
        places = {crop_id: place for place, crop_id in enumerate(search["results"])}
        for crop_id in (name for name, verdict in said.items() if verdict != "withdrawn" and name in places):
            place = places[crop_id]
            rank = first + place if search.get("filters", {}).get("sort", "score") == "score" else 0  # none by time
            if not all(name in search for name in needed):
                without += 1
                continue
            inputs = features(search["scores"][place], search["leads"][place], _conditions(search))
            rows.append((inputs, rank, number, said[crop_id] == "confirmed"))
    inputs_NF = np.array([row[0] for row in rows], dtype=np.float64).reshape(len(rows), len(SLOPES))
    others = zip((1, 2, 3), (np.int64, np.int64, np.bool_), strict=True)
    return Verdicts(
        Judged(inputs_NF, *(np.array([row[at] for row in rows], dtype=kind) for at, kind in others)), without
    )


def _conditions(search: Mapping[str, Any]) -> Conditions:
    """What the record of a search tells of it; older ones hold neither facts nor levels."""
    reference_mean, reference_spread, gallery_mean, gallery_spread = search.get("levels", (0.0,) * 4)
    return Conditions(
        tracks=search["tracks"],
        facts=search.get("facts", 0),
        reference=Level(reference_mean, reference_spread),
        gallery=Level(gallery_mean, gallery_spread),
    )


def fit_site(prior: CalibratedCurve | None, verdicts: Verdicts, *, fingerprint: str) -> SiteFit:
    """Fit a calibration to verdicts on the candidates of the model with this fingerprint; `prior` is the model's own.

    Raises:
        UserError: there are too few verdicts; it says what is missing.
    """
    judged, own = verdicts.judged, prior.curve if prior else None
    if missing := judged.missing():
        older = f"; {verdicts.without_evidence} more are on searches without recorded scores"
        raise UserError(
            f"too few verdicts on candidates of model {fingerprint}: {missing}"
            f"{older if verdicts.without_evidence else ''}"
        )
    threshold = prior.threshold if prior else RELIABLE
    calibration = SiteCalibration(
        curve=fit_site_curve(own, judged),
        threshold=threshold,
        reference=prior.reference if prior else None,
        fingerprint=fingerprint,
        calibrated_at=datetime.now(UTC).replace(microsecond=0),
        confirmed=judged.confirmed,
        rejected=judged.rejected,
        searches=judged.searches,
    )
    first = judged.select(judged.rank_N == 1)
    return SiteFit(
        calibration=calibration,
        before=measure_fit(confidences(own, judged), judged, threshold) if own else None,
        after=measure_fit(held_out_confidences(own, judged), judged, threshold),
        first_confirmed=first.confirmed,
        first_rejected=first.rejected,
    )


def read_site_calibration(home: Path, fingerprint: str) -> SiteCalibration | None:
    """The site's calibration for a model, None if there is none.

    Raises:
        UserError: the file is damaged, or names another model.
    """
    path = _path(home, fingerprint)
    try:
        calibration = SiteCalibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error, SiteCalibration)}") from error
    if calibration.fingerprint != fingerprint:
        raise UserError(f"{path}: fitted to model {calibration.fingerprint}, which is another one")
    return calibration


def write_site_calibration(home: Path, calibration: SiteCalibration) -> Path:
    """Put a calibration where searches find it; running services use it within seconds."""
    path = _path(home, calibration.fingerprint)
    private_folder(path.parent)
    with replacing(path, mode=0o600) as temporary:
        temporary.write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path


def remove_site_calibration(home: Path, fingerprint: str) -> bool:
    """Revert to the model's own calibration; False if the site had none."""
    path = _path(home, fingerprint)
    existed = path.is_file()
    path.unlink(missing_ok=True)
    return existed


def _path(home: Path, fingerprint: str) -> Path:
    return home / FOLDER / f"{fingerprint}.json"
