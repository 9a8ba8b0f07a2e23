"""The Encoder of a bundle's torch variant.

Shapes: N items, H height, W width, L tokens, D embedding dimension.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from personsearch.bundle import Bundle, Preprocessing
from personsearch.images import normalise
from personsearch.models.build import BuiltModel, load_bundle_model
from personsearch.models.device import choose_device
from personsearch.tokenizer import trim

BATCH = 64


class TorchEncoder:
    """Implements encoders.encoder.Encoder with torch."""

    def __init__(self, built: BuiltModel, device: torch.device) -> None:
        self._model = built.model.to(device)
        self._tokenizer = built.tokenizer
        self._preprocessing = built.preprocessing
        self._device = device

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: str = "auto") -> Self:
        """Load a bundle; `device` is auto, cpu, cuda, or cuda:0 …

        Raises:
            UserError: it has no weights that fit it, or there is no such device.
        """
        return cls(load_bundle_model(bundle), choose_device(device))

    @property
    def preprocessing(self) -> Preprocessing:
        return self._preprocessing

    @property
    def embedding_dim(self) -> int:
        return self._model.embedding_dim

    @torch.inference_mode()
    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        mean, std = self._preprocessing.mean, self._preprocessing.std
        parts = [
            self._model.encode_image(self._tensor(normalise(pixels_NHW3[start : start + BATCH], mean, std)))
            for start in range(0, len(pixels_NHW3), BATCH)
        ]
        return self._join(parts)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        parts = [
            self._model.encode_text_by_length(self._tensor(trim(self._tokenizer.encode(texts[start : start + BATCH]))))
            for start in range(0, len(texts), BATCH)
        ]
        return self._join(parts)

    def text_cut_after(self, text: str) -> int | None:
        return self._tokenizer.cut_after(text)

    def _tensor(self, array: NDArray[np.float32] | NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    def _join(self, parts: list[Tensor]) -> NDArray[np.float32]:
        if not parts:
            return np.empty((0, self.embedding_dim), dtype=np.float32)
        return torch.cat(parts).cpu().numpy()
