"""The stage `feedback export`: verdicts become a prepared data set, alone or beside one that is there already.

A confirmed crop has the description as its caption. A rejected one has, as its attribute `rejected_for`, the
descriptions that do not fit it; the loss `rejected_images` learns from that. Crops that were erased are not in it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from personsearch.config import Config
from personsearch.data.checks import Refused
from personsearch.data.dataset import Dataset
from personsearch.data.image_files import check_image
from personsearch.data.output_folder import claim, finished_metrics, input_key, lineage, sole_writer
from personsearch.data.prepare import REJECTED, STATISTICS
from personsearch.data.records import MANIFEST, SPLITS, ImageRecord, write_manifest
from personsearch.data.shards import INDEX, SHARDS, link_images
from personsearch.data.statistics import describe_dataset
from personsearch.errors import UserError
from personsearch.files import Journal, replacing, write_json
from personsearch.gallery.add_dataset import CROP_PREFIX
from personsearch.gallery.store import BATCH, HASH_DIGITS, Gallery
from personsearch.images import ImageRejected
from personsearch.installation.audit.log import AuditLog
from personsearch.installation.feedback.verdicts import JudgedCrop, held_crops, judged_crops, read_judgements
from personsearch.progress import track
from personsearch.run_record import RUN_RECORD, write_run_record

ALGORITHM = "feedback-2"
JOURNAL = ".journal.jsonl"
SOURCE = "verdicts"
LEFT_OUT = (
    *(
        "verdicts_of_other_queries",
        "verdicts_of_refused_descriptions",
        "verdicts_on_erased_crops",
        "people_of_the_base",
    ),
    *("rejections_of_a_confirmed_person", "rejections_without_a_confirmed_crop", "rejections_across_splits"),
)
WRITTEN = ("images", SHARDS, INDEX, MANIFEST, REJECTED, STATISTICS, RUN_RECORD, JOURNAL)


class ExportConfig(Config):
    """What an export adds to the verdicts."""

    base: Path | None = None
    """A prepared data set whose images come first; people whom it shows are left out of the verdicts."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one judged crop: its record, or why there is none."""

    crop_id: str
    record: ImageRecord | None = None
    refused: str = ""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Exported":
        """The reverse of `dataclasses.asdict`."""
        record = ImageRecord(**values["record"]) if values["record"] else None
        return cls(values["crop_id"], record, values["refused"])


@dataclass(frozen=True, slots=True)
class Plan:
    """The crops to export, the data set that they join, and how much was left out by reason."""

    crops: list[JudgedCrop]
    base: Dataset | None
    left_out: Counter[str]

    @property
    def key(self) -> str:
        """What the output depends on."""
        rows = [
            (each.crop.crop_id, each.crop.image_uri, each.person, each.split, each.captions, each.attributes)
            for each in self.crops
        ]
        return input_key(ALGORITHM, rows, self.base.hash if self.base else "")

    def counts(self) -> dict[str, float]:
        """What would be exported, were every picture readable, and what is left out."""
        captioned = [each for each in self.crops if each.captions]
        return {
            "images": len(self.crops),
            "people": len({each.person for each in captioned}),
            "captions": sum(len(each.captions) for each in captioned),
            "rejections": sum(len(each.rejected_for) for each in self.crops),
            **{f"images_{split}": sum(each.split == split for each in self.crops) for split in SPLITS},
            **{reason: self.left_out[reason] for reason in LEFT_OUT},
        }

    @property
    def first_person(self) -> int:
        """The number of the first person of the verdicts."""
        return max((record.person_id for record in self.base.records()), default=-1) + 1 if self.base else 0


def plan_export(config: ExportConfig, log: AuditLog, gallery: Gallery) -> Plan:
    """What `export_feedback` would write.

    Raises:
        UserError: the log, the gallery or the base cannot be read.
    """
    base = Dataset.open(config.base) if config.base else None
    judgements, left_out = read_judgements(log)
    crops = held_crops(gallery, judgements)
    left_out["verdicts_on_erased_crops"] = sum(each.crop_id not in crops for each in judgements)
    judged, not_used = judged_crops(judgements, crops)
    known = {record.image_id for record in base.records()} if base else set()
    in_base = {each.person for each in judged if _image_hash(each) in known or _dataset_image(each) in known}
    left_out["people_of_the_base"] = len(in_base)
    left_out.update(not_used)
    return Plan([each for each in judged if each.person not in in_base], base, left_out)


def export_feedback(config: ExportConfig, plan: Plan, gallery: Gallery, out_dir: Path) -> dict[str, float]:
    """Write what was planned into `out_dir`. Finished output of the same verdicts is left as it is, and a killed run is
    resumed. Returns counts.

    Raises:
        UserError: nobody was confirmed whom the base does not show, or `out_dir` holds other files.
    """
    if not any(each.captions for each in plan.crops):
        why = ", ".join(f"{count} × {reason}" for reason, count in plan.left_out.items() if count)
        raise UserError(f"no confirmed crop to export; left out: {why or 'nothing, there are no verdicts'}")
    if plan.base and out_dir.resolve() == plan.base.folder.resolve():
        raise UserError(f"{out_dir}: is the base; another folder expected")
    key = plan.key
    with sole_writer(out_dir):
        return finished_metrics(out_dir, key) or _write(config, plan, gallery, out_dir, key=key)


def _write(config: ExportConfig, plan: Plan, gallery: Gallery, out_dir: Path, *, key: str) -> dict[str, float]:
    journal = Journal(out_dir / JOURNAL, key, encode=asdict, decode=Exported.from_json)
    if not journal.matches:
        claim(out_dir, WRITTEN, marker=JOURNAL)
    with journal:
        _export_crops(plan, gallery, out_dir, journal)
    base = plan.base.records() if plan.base else ()
    if plan.base:
        link_images(plan.base.folder, (record.path for record in base), out_dir)
    exported = list(journal.entries())
    write_manifest(out_dir, [*base, *(each.record for each in exported if each.record)])
    with replacing(out_dir / REJECTED) as temporary:
        lines = (json.dumps({"crop_id": each.crop_id, "reason": each.refused}) for each in exported if each.refused)
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    metrics = _exported_part(plan, exported).counts() | {
        "pictures_refused": sum(bool(each.refused) for each in exported)
    }
    write_json(out_dir / STATISTICS, {**metrics, **describe_dataset(out_dir)})
    source = {"base": plan.base.hash} if plan.base else {}
    write_run_record(out_dir, "feedback", config, metrics, lineage(key, out_dir, **source))
    journal.path.unlink()  # last: a run killed before this line is resumed and ends the same
    return metrics


def _export_crops(plan: Plan, gallery: Gallery, out_dir: Path, journal: Journal[Exported]) -> None:
    """Export the crops that the journal does not hold yet."""
    done = list(journal.entries())
    images = {each.record.image_id for each in done if each.record}
    left = plan.crops[len(done) :]
    for start in track(range(0, len(left), BATCH), "feedback: images"):
        crops = left[start : start + BATCH]
        for each, picture in zip(crops, gallery.read_pictures([one.crop for one in crops]), strict=True):
            journal.append(_exported(each, picture, plan.first_person, out_dir, images))


def _exported(
    judged: JudgedCrop, picture: bytes | ImageRejected, first_person: int, out_dir: Path, images: set[str]
) -> Exported:
    crop = judged.crop
    if isinstance(picture, ImageRejected):
        return Exported(crop.crop_id, refused=str(picture))
    try:
        image = check_image(picture, crop.crop_id)
    except Refused as refusal:
        return Exported(crop.crop_id, refused=str(refusal))
    image_id = image.digest[:HASH_DIGITS]
    if image_id in images:
        return Exported(crop.crop_id, refused="another judged crop has the same picture")
    images.add(image_id)
    path = f"images/{image_id[:2]}/{image_id}{image.suffix}"
    with replacing(out_dir / path, flush=False) as temporary:
        temporary.write_bytes(image.content)
    record = ImageRecord(
        image_id=image_id,
        path=path,
        person_id=first_person + judged.person,
        split=judged.split,
        captions=list(judged.captions),
        source=SOURCE,
        camera_id=crop.camera_id,
        attributes=judged.attributes,
        origin=crop.crop_id,
    )
    return Exported(crop.crop_id, record)


def _exported_part(plan: Plan, exported: Sequence[Exported]) -> Plan:
    """The plan without the crops whose pictures were refused."""
    kept = {each.crop_id for each in exported if each.record}
    return replace(plan, crops=[each for each in plan.crops if each.crop.crop_id in kept])


def _image_hash(judged: JudgedCrop) -> str:
    """The hash of a crop's picture, which its name ends in."""
    return judged.crop.image_uri.removesuffix(".jpg").rpartition(".")[2]


def _dataset_image(judged: JudgedCrop) -> str:
    """The image of a data set that a crop was made of, by its id."""
    return judged.crop.crop_id.removeprefix(CROP_PREFIX)
