"""Turns a raw data set in any known format into the prepared one that every other stage reads.

Nothing is dropped silently: each refusal is a line of `rejected.jsonl`. A killed run resumes where it stopped.
"""

import json
import logging
import os
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from pydantic import Field

from personsearch.config import Config
from personsearch.data.admission import Admission, Outcome, outcome_from_json
from personsearch.data.checks import Finding
from personsearch.data.inspection import Inspector
from personsearch.data.label import read_label
from personsearch.data.output_folder import claim, finished_metrics, input_key, lineage, sole_writer
from personsearch.data.parallel import map_in_order
from personsearch.data.readers import FormatName, find_format
from personsearch.data.records import MANIFEST, write_manifest
from personsearch.data.shards import INDEX, SHARDS
from personsearch.data.statistics import Statistics, write_data_card
from personsearch.data.survey import Survey, read_rows, survey
from personsearch.errors import UserError
from personsearch.files import Journal, replacing, write_json
from personsearch.progress import track
from personsearch.run_record import RUN_RECORD, write_run_record

REJECTED, WARNINGS, STATISTICS, CARD, JOURNAL = (
    "rejected.jsonl", "warnings.jsonl", "stats.json", "DATA_CARD.md", ".journal.jsonl",
)  # fmt: skip
WRITTEN = ("images", SHARDS, INDEX, MANIFEST, REJECTED, WARNINGS, STATISTICS, CARD, RUN_RECORD, JOURNAL)
ALGORITHM = "prepare-2"  # to be raised when the same input gives another output

logger = logging.getLogger(__name__)


class PrepareConfig(Config):
    """Section `prepare` of params.yaml: how a raw data set is read."""

    format: FormatName = "auto"
    """Format of the data set; `auto` recognises it by its files."""

    strict: bool = False
    """Stop at the first image or caption that is refused, instead of listing it in rejected.jsonl."""

    max_caption_words: int = Field(default=200, ge=1)
    """Longest caption in words; a longer one is refused."""

    val_fraction: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the train identities held out as val, for data sets without a val split."""

    keep_duplicates: bool = False
    """Keep images with equal bytes, as the published protocols do."""

    name: str = ""
    """Name of the data set; empty takes the one in its dataset.json, else the format's."""

    licence: str = ""
    """Licence of the data set; empty takes the one in its dataset.json, else "not stated"."""


def prepare(config: PrepareConfig, source: Path, out_dir: Path) -> dict[str, float]:
    """Check every image and caption of `source` and write a prepared data set into `out_dir`.

    Finished output of the same input is left as it is, a killed run is resumed, and two runs at once take turns.

    Raises:
        UserError: no known format, a broken annotation file, nothing left after the checks, an `out_dir` with other
            files in it, or, with `config.strict`, any refusal.
    """
    layout, annotations = find_format(source, config.format)
    config = _labelled(config, source, layout.name)
    overview = survey(source, layout, annotations, config.val_fraction)
    key = _key(config, layout.name, overview)
    metrics = finished_metrics(out_dir, key)
    if metrics is None:
        inspector = Inspector(source, layout, overview, config.max_caption_words)
        with sole_writer(out_dir):  # the process that held the lock may have written this data set already
            metrics = finished_metrics(out_dir, key) or _write(config, inspector, annotations, out_dir, key=key)
    _stop_if_strict_and_refused(config, out_dir)
    return metrics


def _write(
    config: PrepareConfig, inspector: Inspector, annotations: list[Path], out_dir: Path, *, key: str
) -> dict[str, float]:
    """Inspect the rows that a killed run did not reach, and write the data set."""
    source, layout, overview = inspector.source, inspector.layout, inspector.overview
    journal = Journal(out_dir / JOURNAL, key, encode=asdict, decode=outcome_from_json)
    if not journal.matches:
        claim(out_dir, WRITTEN, marker=JOURNAL)
    with journal:
        _process_rows(config, inspector, annotations, journal)
    statistics = _write_findings(out_dir, journal)
    if not statistics.images:
        why = statistics.reasons() or "there were none"
        raise UserError(f"{source}: none of {overview.rows} rows could be used ({why}); see {out_dir / REJECTED}")
    if cut := statistics.captions_cut:
        logger.warning(
            "%s: at least %d captions are longer than 77 tokens, CLIP's context, and would be cut", source, cut
        )
    write_manifest(out_dir, (outcome.record for outcome in journal.entries() if outcome.record))
    summary = statistics.summary(config.name, config.licence, layout, overview.identity_of_name)
    write_json(out_dir / STATISTICS, summary)
    write_data_card(out_dir / CARD, summary)
    origin = lineage(key, out_dir, source=str(source), format=layout.name)
    write_run_record(out_dir, "prepare", config, statistics.metrics(), origin)
    journal.path.unlink()  # last: a run killed before this line is resumed and ends the same
    return statistics.metrics()


def _process_rows(
    config: PrepareConfig, inspector: Inspector, annotations: list[Path], journal: Journal[Outcome]
) -> None:
    """Inspect every row that the journal does not hold yet, and add it."""
    _remove_half_images(journal.path.parent)
    admission = Admission(journal.path.parent, source_name=config.name, keep_duplicates=config.keep_duplicates)
    done = _resume(config, journal, admission)
    rows = islice(read_rows(inspector.layout, annotations), done, None)
    inspections = map_in_order(inspector, rows, workers=_workers())
    for inspection in track(inspections, "prepare", total=inspector.overview.rows - done):
        outcome = admission.admit(inspection)
        journal.append(outcome)
        _stop_if_strict(config, outcome)


def _labelled(config: PrepareConfig, source: Path, format_name: str) -> PrepareConfig:
    label = read_label(source)
    name = config.name or label.name or format_name
    return config.model_copy(update={"name": name, "licence": config.licence or label.licence or "not stated"})


def _key(config: PrepareConfig, format_name: str, overview: Survey) -> str:
    """What the output depends on: not `strict`, which only stops early, nor whether `auto` found the format."""
    settings = config.model_dump(mode="json", exclude={"strict", "format"})
    return input_key(ALGORITHM, format_name, settings, overview.content_key)


def _stop_if_strict_and_refused(config: PrepareConfig, out_dir: Path) -> None:
    with (out_dir / REJECTED).open(encoding="utf-8") as file:
        first = file.readline()
    if config.strict and first:
        raise UserError(_strict_message(json.loads(first)))


def _remove_half_images(out_dir: Path) -> None:
    """Delete what a killed process was writing."""
    for path in (out_dir / "images").glob("*/.*.partial"):
        path.unlink()


def _resume(config: PrepareConfig, journal: Journal[Outcome], admission: Admission) -> int:
    done = 0
    for outcome in journal.entries():
        admission.remember(outcome)
        _stop_if_strict(config, outcome)
        done += 1
    if done:
        logger.info("continuing after %d rows", done)
    return done


def _workers() -> int:
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _stop_if_strict(config: PrepareConfig, outcome: Outcome) -> None:
    if config.strict and outcome.refused:
        raise UserError(_strict_message(asdict(outcome.refused[0])))


def _strict_message(finding: dict[str, object]) -> str:
    return f"{finding['annotation']} row {finding['row']}: {finding['reason']}: {finding['detail']}"


def _write_findings(out_dir: Path, journal: Journal[Outcome]) -> Statistics:
    """Write `rejected.jsonl` and `warnings.jsonl`, and count what is in them."""
    statistics = Statistics()
    with (
        replacing(out_dir / REJECTED) as rejected,
        replacing(out_dir / WARNINGS) as warnings,
        rejected.open("w", encoding="utf-8") as refusals,
        warnings.open("w", encoding="utf-8") as remarks,
    ):
        for outcome in journal.entries():
            statistics.add(outcome)
            refusals.writelines(_line(finding) for finding in outcome.refused)
            remarks.writelines(_line(finding) for finding in outcome.remarks)
    return statistics


def _line(finding: Finding) -> str:
    return json.dumps(asdict(finding), ensure_ascii=False) + "\n"
