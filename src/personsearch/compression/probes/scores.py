"""R@1 text→image while one tower's embeddings arrive batch by batch and are kept by nobody.

Of each probe and caption only this is held: the highest similarity so far, and whether that image shows the right
person. It follows evaluation.metrics: equal similarities rank in the gallery's order, and a caption whose person is
not in the gallery is left out.

Shapes: P probes, Q captions, G images, N items of a batch, D embedding dimension.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.files import replacing
from personsearch.models.architecture import Side


class Scores:
    """What a walk over one tower's data fills, every item once, images in the gallery's order."""

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
        """Of each probe, in percent [P]."""
        has_match_Q = np.isin(self._caption_ids_Q, self._image_ids_G)
        return np.asarray(100.0 * self.right_PQ[:, has_match_Q].mean(axis=1), dtype=np.float64)

    def save(self, path: Path, identity: str, batches: int) -> None:
        """Write what has been found after so many batches of the walk that `identity` names."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, identity=identity, batches=batches, best=self.best_PQ, right=self.right_PQ)

    def restore(self, path: Path, identity: str) -> int:
        """Go on with what was saved of this very walk; returns the batches done, 0 where there is nothing."""
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
        better = score > self.best_PQ[probe, captions]
        changed = captions[better]
        self.best_PQ[probe, changed] = score[better]
        self.right_PQ[probe, changed] = person_ids[column[better]] == self._caption_ids_Q[changed]
