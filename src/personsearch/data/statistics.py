"""Describes a prepared data set in numbers (`stats.json`) and in words (`DATA_CARD.md`)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from personsearch.data.admission import Outcome
from personsearch.data.checks import is_cut_by_clip
from personsearch.data.dataset import Dataset
from personsearch.data.readers import DatasetFormat
from personsearch.data.records import SPLITS, ImageRecord
from personsearch.files import replacing


@dataclass(slots=True)
class SplitStatistics:
    """Running counts of one split."""

    images: int = 0
    captions: int = 0
    words: int = 0
    longest_caption: int = 0
    captions_cut: int = 0
    identities: set[int] = field(default_factory=set)
    cameras: Counter[str] = field(default_factory=Counter)
    captions_per_image: Counter[int] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=lambda: [1 << 31, 0, 1 << 31, 0])

    def add(self, record: ImageRecord, size: tuple[int, int]) -> None:
        """Count one image; `size` is (height, width)."""
        lengths = [len(caption.split()) for caption in record.captions]
        self.images += 1
        self.captions += len(lengths)
        self.words += sum(lengths)
        self.longest_caption = max([self.longest_caption, *lengths])
        self.captions_cut += sum(map(is_cut_by_clip, record.captions))
        self.identities.add(record.person_id)
        if record.camera_id:
            self.cameras[record.camera_id] += 1
        self.captions_per_image[len(lengths)] += 1
        low_height, high_height, low_width, high_width = self.sizes
        height, width = size
        self.sizes = [min(low_height, height), max(high_height, height), min(low_width, width), max(high_width, width)]

    def summary(self) -> dict[str, Any]:
        """The split's entry in `stats.json`."""
        return {
            "images": self.images,
            "identities": len(self.identities),
            "captions": self.captions,
            "words_per_caption": round(self.words / self.captions, 2) if self.captions else 0.0,
            "longest_caption_words": self.longest_caption,
            "captions_over_77_tokens": self.captions_cut,
            "captions_per_image": {str(count): images for count, images in sorted(self.captions_per_image.items())},
            "height": self.sizes[:2] if self.images else None,
            "width": self.sizes[2:] if self.images else None,
            "cameras": dict(sorted(self.cameras.items())),
            "images_without_camera": self.images - self.cameras.total(),
        }


@dataclass(slots=True)
class Statistics:
    """Running counts of a data set."""

    splits: dict[str, SplitStatistics] = field(default_factory=lambda: {split: SplitStatistics() for split in SPLITS})
    refused: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    @property
    def images(self) -> int:
        return sum(split.images for split in self.splits.values())

    @property
    def captions_cut(self) -> int:
        return sum(split.captions_cut for split in self.splits.values())

    def add(self, outcome: Outcome) -> None:
        """Count what became of one row."""
        self.rows += 1
        self.refused.update(finding.reason for finding in outcome.refused)
        self.remarks.update(finding.reason for finding in outcome.remarks)
        if outcome.record:
            self.splits[outcome.record.split].add(outcome.record, outcome.size)

    def reasons(self) -> str:
        """The refusals by reason, most frequent first, in one line."""
        return ", ".join(f"{count} × {reason}" for reason, count in self.refused.most_common())

    def metrics(self) -> dict[str, float]:
        """The metrics of the stage."""
        identities = set().union(*(split.identities for split in self.splits.values()))
        return {
            "rows": self.rows,
            "images": self.images,
            "identities": len(identities),
            "captions": sum(split.captions for split in self.splits.values()),
            **{f"images_{name}": split.images for name, split in self.splits.items()},
            "rows_refused": self.rows - self.images,
            "refusals": self.refused.total(),
            "captions_over_77_tokens": self.captions_cut,
            "warnings": self.remarks.total(),
        }

    def summary(
        self, name: str, licence: str, layout: DatasetFormat, identity_of_name: Mapping[str, int]
    ) -> dict[str, Any]:
        """What `stats.json` holds; with the published figures, unless the data set has a name of its own."""
        published = layout.published if name == layout.name else {}
        return {
            "name": name,
            "format": layout.name,
            "licence": licence,
            "rows": self.rows,
            "images": self.images,
            "splits": {name: split.summary() for name, split in self.splits.items()},
            "refused": dict(self.refused.most_common()),
            "warnings": dict(self.remarks.most_common()),
            "published_images": {split: figures.images for split, figures in published.items()},
            "identities_outside_published_range": {
                split: sum(not figures.first_id <= i <= figures.last_id for i in self.splits[split].identities)
                for split, figures in published.items()
            },
            "identity_names": dict(identity_of_name),
        }


def write_data_card(path: Path, summary: Mapping[str, Any]) -> None:
    """Write `DATA_CARD.md`: what the data set holds, where it comes from and what was refused."""
    lines = [
        "# Data card",
        "",
        f"{summary['name']}, prepared from the format `{summary['format']}`. Licence: {summary['licence']}.",
        "",
        "| split | images | identities | captions | words per caption | cameras |",
        "|---|---|---|---|---|---|",
        *(_row(name, split) for name, split in summary["splits"].items()),
        "",
        *_tally("Refused (each a line of `rejected.jsonl`)", summary["refused"]),
        *_tally("Accepted with a warning (each a line of `warnings.jsonl`)", summary["warnings"]),
        *_published(summary),
        *_long_captions(summary),
        "These are images of people. Use them only for the purpose and under the licence they were collected for.",
    ]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(name: str, split: Mapping[str, Any]) -> str:
    cells = (name, split["images"], split["identities"], split["captions"], split["words_per_caption"])
    return f"| {' | '.join(map(str, cells))} | {len(split['cameras'])} |"


def _tally(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    return [f"## {title}", "", *(f"- {reason}: {count}" for reason, count in counts.items()), ""]


def _long_captions(summary: Mapping[str, Any]) -> list[str]:
    cut = sum(split["captions_over_77_tokens"] for split in summary["splits"].values())
    if not cut:
        return []
    return [f"At least {cut:,} captions are longer than 77 tokens. A text encoder with CLIP's context cuts them.", ""]


def _published(summary: Mapping[str, Any]) -> list[str]:
    """Counts that differ from the published ones, as they do when an archive is incomplete."""
    differing = [
        f"- {split}: {summary['splits'][split]['images']} images, published {images}"
        for split, images in summary["published_images"].items()
        if summary["splits"][split]["images"] != images
    ]
    outside = summary["identities_outside_published_range"].items()
    differing += [f"- {split}: {count} identities outside the published range" for split, count in outside if count]
    return ["## Differs from the published data set", "", *differing, ""] if differing else []


def describe_dataset(dataset: Path) -> dict[str, Any]:
    """Counts of a prepared data set, from its manifest, as a flat table."""
    data, described = Dataset.open(dataset), dict[str, Any]()
    for split in SPLITS:
        counted = SplitStatistics()
        records = data.records(split)
        for record in records:
            counted.add(record, (0, 0))
        described[f"{split}_images"] = counted.images
        described[f"{split}_identities"] = len(counted.identities)
        described[f"{split}_captions"] = counted.captions
        described[f"{split}_words_per_caption"] = (
            round(counted.words / counted.captions, 2) if counted.captions else 0.0
        )
        described[f"{split}_captions_over_77_tokens"] = counted.captions_cut
        described[f"{split}_cameras"] = len(counted.cameras)
        described[f"{split}_back_translated"] = sum(record.captions_bt is not None for record in records)
    return {**described, "dataset_hash": data.hash}
