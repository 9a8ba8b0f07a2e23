"""Encodes all training pairs with the current model and divides them into clean and noisy before an epoch.

Shapes: P pairs, G images, D embedding dimension.
"""

import numpy as np

from personsearch.encoders.torch import TorchEncoder
from personsearch.models.build import BuiltModel
from personsearch.training.batches import BatchSource
from personsearch.training.config import TrainConfig
from personsearch.training.noise import Division, divide_pairs

PIXELS_AT_A_TIME = 1024


def divide(config: TrainConfig, built: BuiltModel, source: BatchSource, epoch: int) -> Division:
    """Which pairs to trust in an epoch, judged on unaugmented images and captions."""
    built.model.eval()
    encoder, rows_G = TorchEncoder(built, source.device), source.pixel_rows_G
    parts = [slice(start, start + PIXELS_AT_A_TIME) for start in range(0, len(rows_G), PIXELS_AT_A_TIME)]
    image_GD = np.concatenate([encoder.encode_images(source.pixels_GHW3[rows_G[part]]) for part in parts])
    text_PD = encoder.encode_texts([caption for record in source.records for caption in record.captions])
    person_ids_G = np.array([record.person_id for record in source.records], dtype=np.int64)
    images_P = source.pairs.image_P
    assert config.noise is not None
    return divide_pairs(
        config.noise,
        image_GD[images_P],
        text_PD,
        person_ids_G[images_P],
        seed=config.seed,
        epoch=epoch,
    )
