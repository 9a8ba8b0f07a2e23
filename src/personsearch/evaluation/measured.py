"""What an evaluation is asked for and what it measures, over all queries and by slice (a mean can hide a weak one)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from personsearch.config import Config
from personsearch.data.records import ImageRecord, Split
from personsearch.evaluation.attributes.figures import AttributeFigures
from personsearch.evaluation.attributes.measure import AttributesConfig
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.metrics import QueryRanks, RetrievalMetrics, summarise
from personsearch.search.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Slice:
    """Text→image metrics of the queries whose image has `value`, in percent."""

    value: str
    queries: int
    r1: float
    r10: float
    map: float


def by_camera(ranks: QueryRanks, embeddings: SplitEmbeddings) -> list[Slice]:
    """One slice for each camera of the described images, by name; empty if cameras are not known."""
    return _slices(ranks, embeddings, [record.camera_id for record in embeddings.records])


def by_attribute(ranks: QueryRanks, embeddings: SplitEmbeddings) -> dict[str, list[Slice]]:
    """For each attribute in the manifest, one slice for each of its values."""
    known = [_attributes(record) for record in embeddings.records]
    names = sorted({name for attributes in known for name in attributes})
    return {name: _slices(ranks, embeddings, [attributes.get(name) for attributes in known]) for name in names}


def _attributes(record: ImageRecord) -> dict[str, str]:
    values = json.loads(record.attributes) if record.attributes else {}
    return {name: str(value) for name, value in values.items() if isinstance(value, str | int | bool)}


def _slices(ranks: QueryRanks, embeddings: SplitEmbeddings, values_G: Sequence[str | None]) -> list[Slice]:
    slices = []
    value_of_query = np.array([values_G[image] or "" for image in embeddings.image_of_caption])
    for value in sorted({value for value in values_G if value}):
        part = ranks.select(value_of_query == value)
        if (part.first_rank > 0).any():
            metrics = summarise(part)
            slices.append(Slice(value, metrics.queries, metrics.r1, metrics.r10, metrics.map))
    return slices


class EvaluateConfig(Config):
    """Section `evaluate` of params.yaml: how a model is measured."""

    split: Split = "test"
    """Split to measure on."""

    calibrate_on: Split = "val"
    """Split on which confidence is fitted; `split` itself if the data set lacks this one."""

    reliable_confidence: float = Field(default=0.5, gt=0, lt=1)
    """Call a best candidate reliable from this confidence on, in (0, 1): from 0.5 it is more likely right than not."""

    colour_swap_captions: int = Field(default=2000, ge=1)
    """Most captions that are tested with a colour swapped."""

    attributes: AttributesConfig | None = AttributesConfig()
    """How it is measured what the model sees (docs/what-a-model-sees.md); null measures nothing of it."""

    examples: int = Field(default=6, ge=0)
    """Searches shown in the report: this many with a right first result, and as many with a wrong one."""

    threads: int = Field(default=0, ge=0)
    """Threads of ONNX Runtime; 0 is one per core."""


@dataclass(frozen=True)
class Evaluation:
    """Everything measured about one bundle on one split."""

    embeddings: SplitEmbeddings
    ranks: QueryRanks
    text_to_image: RetrievalMetrics
    image_to_text: RetrievalMetrics
    calibration: Calibration
    colour_swap: float | None
    cameras: list[Slice]
    attributes: dict[str, list[Slice]]
    seen: AttributeFigures | None

    @property
    def people(self) -> int:
        """How many people the gallery shows."""
        return len(np.unique(self.embeddings.image_ids))

    def metrics(self) -> dict[str, float]:
        """The metrics by name, in percent, except for calibration error and areas under the curve, in [0, 1]."""
        figures = {
            f"{direction}_{name}": float(getattr(metrics, name))
            for direction, metrics in (("t2i", self.text_to_image), ("i2t", self.image_to_text))
            for name in ("r1", "r5", "r10", "map", "minp")
        }
        figures["expected_calibration_error"] = self.calibration.expected_calibration_error
        if self.colour_swap is not None:
            figures["colour_swap"] = self.colour_swap
        return figures | (self.seen.metrics() if self.seen is not None else {})
