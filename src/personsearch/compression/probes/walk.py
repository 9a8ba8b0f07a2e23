"""One walk over a split that measures many probes of a tower: batches in, R@1 of every probe out.

What lies below the changed layers is computed once for all probes. A probe of layer i of n costs at most n - i + 1
blocks, so no probe costs more than one pass of its tower. No embedding of a probe is kept: of each probe and caption
only the highest similarity so far, and whether that image shows the right person. Equal similarities rank in the
gallery's order and a caption whose person is not in the gallery is left out, as in evaluation.metrics.

Shapes: P probes, Q captions, G images, N items of a batch, L tokens, C channels of the tower, H height, W width,
D embedding dimension.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from personsearch.bundle import Preprocessing
from personsearch.compression.probes.towers import PARAMETERS, Kind, Tower, attend, feed_forward
from personsearch.data.records import ImageRecord
from personsearch.evaluation.embeddings import SplitEmbeddings, decode_records
from personsearch.files import replacing
from personsearch.images import normalise
from personsearch.models.architecture import Side
from personsearch.tokenizer import text_lengths, trim


@dataclass(frozen=True, slots=True)
class Batch:
    """`rows_N` are indices into the split; `inputs` are token ids [N, L] or standardised pixels [N, 3, H, W]."""

    rows_N: NDArray[np.int64]
    inputs: Tensor


class Batches(Protocol):
    """Batches numbered from 0, the same ones every time, with `size` items in each but the last."""

    size: int

    def __len__(self) -> int: ...

    def read(self, number: int) -> Batch:
        """Read one batch, to the device of the model."""


class TextBatches:
    """Captions sorted by length, so that batches hold little padding."""

    def __init__(self, ids_QL: NDArray[np.int64], size: int, device: torch.device) -> None:
        self.size = size
        self._ids_QL, self._device = ids_QL, device
        self._order_Q = np.argsort(text_lengths(ids_QL), kind="stable")

    def __len__(self) -> int:
        return math.ceil(len(self._order_Q) / self.size)

    def read(self, number: int) -> Batch:
        rows_N = self._order_Q[number * self.size : (number + 1) * self.size]
        return Batch(rows_N, torch.from_numpy(trim(self._ids_QL[rows_N])).to(self._device))


class ImageBatches:
    """Images in the manifest's order, decoded at each reading: a split may not fit into memory."""

    def __init__(
        self,
        dataset: Path,
        records: Sequence[ImageRecord],
        preprocessing: Preprocessing,
        *,
        size: int,
        device: torch.device,
    ) -> None:
        self.size = size
        self._dataset, self._records, self._preprocessing, self._device = dataset, records, preprocessing, device

    def __len__(self) -> int:
        return math.ceil(len(self._records) / self.size)

    def read(self, number: int) -> Batch:
        start, preprocessing = number * self.size, self._preprocessing
        part = self._records[start : start + self.size]
        pixels_NHW3 = decode_records(self._dataset, part, preprocessing)
        inputs = torch.from_numpy(normalise(pixels_NHW3, preprocessing.mean, preprocessing.std)).to(self._device)
        return Batch(np.arange(start, start + len(part)), inputs)


@dataclass(frozen=True, slots=True)
class Probe:
    """A change of one module; layers count from 1.

    `alpha` None removes it: its residual branch is skipped. Else its weights are (1 − alpha) · those before fine-tuning
    + alpha · those after it.
    """

    layer: int
    kind: Kind
    alpha: float | None = None


def probe_features(
    tower: Tower, before: Sequence[Mapping[str, Tensor]], probes: Sequence[Probe], inputs: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """Yield the index of each probe and the unit vectors [N, D] of the changed tower, lower layers first.

    `before` holds each block's weights before fine-tuning. Two activations of a batch are held, however many probes
    there are.
    """
    mask_LL = tower.mask(inputs)
    tokens_NLC = tower.embed(inputs)
    highest = max(probe.layer for probe in probes)
    for layer, block in enumerate(tower.blocks[:highest], start=1):
        for number, probe in enumerate(probes):
            if probe.layer == layer:
                changed_NLC = _changed(block, before[layer - 1], probe, tokens_NLC, mask_LL)
                for upper in tower.blocks[layer:]:
                    changed_NLC = upper(changed_NLC, attn_mask=mask_LL)
                yield number, tower.pool(changed_NLC, inputs)
        if layer < highest:
            tokens_NLC = block(tokens_NLC, attn_mask=mask_LL)


def _changed(
    block: nn.Module, before: Mapping[str, Tensor], probe: Probe, tokens_NLC: Tensor, mask_LL: Tensor | None
) -> Tensor:
    """The output of the changed block."""
    if probe.alpha is not None:
        changed_NLC: Tensor = functional_call(
            block, _blended(block, before, probe.kind, probe.alpha), (tokens_NLC,), {"attn_mask": mask_LL}
        )
        return changed_NLC
    if probe.kind == "attention":
        return feed_forward(block, tokens_NLC)
    return attend(block, tokens_NLC, mask_LL) if probe.kind == "feed_forward" else tokens_NLC


def _blended(block: nn.Module, before: Mapping[str, Tensor], kind: Kind, alpha: float) -> dict[str, Tensor]:
    return {
        name: torch.lerp(before[name], trained, alpha)
        for name, trained in block.named_parameters()
        if name.startswith(PARAMETERS[kind])
    }


class Scores:
    """Filled by a walk over one tower's items, each once, images in the gallery's order."""

    def __init__(self, side: Side, probes: int, split: SplitEmbeddings) -> None:
        self._side = side
        self._split = split
        self._image_ids_G, self._caption_ids_Q = split.image_ids, split.caption_ids
        self.best_PQ = np.full((probes, len(split.captions)), -np.inf, dtype=np.float32)
        self.right_PQ = np.zeros((probes, len(split.captions)), dtype=np.bool_)

    def add(self, probe: int, rows_N: NDArray[np.int64], features_ND: NDArray[np.float32]) -> None:
        """Compare a probe's embeddings of the items `rows_N` of its tower with all of the other tower's."""
        if self._side == "text":
            similarity_NG = features_ND @ self._split.image_GD.T
            self._take(probe, rows_N, similarity_NG, self._image_ids_G)
        else:
            similarity_QN = self._split.text_QD @ features_ND.T
            self._take(probe, np.arange(len(similarity_QN)), similarity_QN, self._image_ids_G[rows_N])

    def r1(self) -> NDArray[np.float64]:
        """R@1 of each probe [P], in percent."""
        has_match_Q = np.isin(self._caption_ids_Q, self._image_ids_G)
        return np.asarray(100.0 * self.right_PQ[:, has_match_Q].mean(axis=1), dtype=np.float64)

    def save(self, path: Path, identity: str, batches: int) -> None:
        """Write the state after so many batches of the walk that `identity` names."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, identity=identity, batches=batches, best=self.best_PQ, right=self.right_PQ)

    def restore(self, path: Path, identity: str) -> int:
        """Resume from what was saved of this very walk; returns the number of batches done, 0 if nothing was saved."""
        if not path.is_file():
            return 0
        with np.load(path, allow_pickle=False) as saved:
            if str(saved["identity"]) != identity:
                return 0
            self.best_PQ, self.right_PQ = saved["best"], saved["right"]
            return int(saved["batches"])

    def _take(
        self,
        probe: int,
        captions: NDArray[np.int64],
        similarity: NDArray[np.float32],
        person_ids: NDArray[np.int64],
    ) -> None:
        """`similarity` of those captions (rows) to images of those persons (columns)."""
        column = similarity.argmax(axis=1)  # of equals the first
        score = similarity[np.arange(len(column)), column]
        better = score > self.best_PQ[probe, captions]  # not >=: the first of equals wins across batches, too
        changed = captions[better]
        self.best_PQ[probe, changed] = score[better]
        self.right_PQ[probe, changed] = person_ids[column[better]] == self._caption_ids_Q[changed]
