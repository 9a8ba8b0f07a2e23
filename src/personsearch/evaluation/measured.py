"""What an evaluation asks for and what it measures."""

from dataclasses import dataclass

from pydantic import Field

from personsearch.config import Config
from personsearch.data.records import Split
from personsearch.evaluation.breakdown import Slice
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.metrics import QueryRanks, RetrievalMetrics
from personsearch.search.calibration import Calibration


class EvaluateConfig(Config):
    """Section `evaluate` of params.yaml: how a model is measured."""

    split: Split = "test"
    """Split to measure on."""

    calibrate_on: Split = "val"
    """Split that confidence is fitted to; falls back to `split` in a data set without it."""

    reliable_confidence: float = Field(default=0.5, gt=0, lt=1)
    """Confidence in (0, 1) below which the best candidate is "no reliable match"."""

    colour_swap_captions: int = Field(default=2000, ge=1)
    """Captions asked with their colours swapped, at most."""

    examples: int = Field(default=6, ge=0)
    """Right and wrong searches shown in the report, of each kind."""

    threads: int = Field(default=0, ge=0)
    """Threads of ONNX Runtime; 0 is one per core."""


@dataclass(frozen=True)
class Evaluation:
    """Everything measured of one bundle on one split."""

    embeddings: SplitEmbeddings
    ranks: QueryRanks
    text_to_image: RetrievalMetrics
    image_to_text: RetrievalMetrics
    calibration: Calibration
    colour_swap: float | None
    cameras: list[Slice]
    attributes: dict[str, list[Slice]]

    def metrics(self) -> dict[str, float]:
        """The flat figures, in percent; the calibration error is a probability."""
        figures = {
            f"{direction}_{name}": float(getattr(metrics, name))
            for direction, metrics in (("t2i", self.text_to_image), ("i2t", self.image_to_text))
            for name in ("r1", "r5", "r10", "map", "minp")
        }
        figures["expected_calibration_error"] = self.calibration.expected_calibration_error
        if self.colour_swap is not None:
            figures["colour_swap"] = self.colour_swap
        return figures
