"""Measures the retrieval quality of a model during training.

Shapes: Q captions, G images, D embedding dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from personsearch.data.records import ImageRecord
from personsearch.data.sampler import Pairs
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.evaluation.metrics import retrieval_metrics
from personsearch.models.build import BuiltModel


@dataclass(frozen=True, slots=True)
class Validator:
    """Text-to-image retrieval of one split, every caption against every image, in percent.

    Raises UserError when an embedding is not finite.
    """

    built: BuiltModel
    records: Sequence[ImageRecord]
    pixels_GHW3: NDArray[np.uint8]
    device: torch.device

    def __call__(self) -> dict[str, float]:
        self.built.model.eval()
        encoder = TorchEncoder(self.built, self.device)
        pairs = Pairs.of(self.records)
        captions = [caption for record in self.records for caption in record.captions]
        person_ids_G = np.array([record.person_id for record in self.records], dtype=np.int64)
        text_QD, image_GD = encoder.encode_texts(captions), encoder.encode_images(self.pixels_GHW3)
        if not (np.isfinite(text_QD).all() and np.isfinite(image_GD).all()):
            raise UserError("the model's embeddings are not finite: the training diverged; lower optimiser.lr")
        metrics = retrieval_metrics(text_QD, image_GD, person_ids_G[pairs.image_P], person_ids_G)
        return {"val_r1": metrics.r1, "val_r5": metrics.r5, "val_r10": metrics.r10, "val_map": metrics.map}
