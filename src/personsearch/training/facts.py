"""What training knows of a batch beside who is in it: facts of the images, what captions state, short queries.

Shapes: G images, P pairs of the data set, N pairs of a batch, F facts, C cells of a layout.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from personsearch.data.facts.catalogue import FACT_INDEX, FACTS
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN, fact_table
from personsearch.data.facts.layout import NO_LAYOUT, NUM_CELLS, layouts
from personsearch.data.facts.queries import ShortQuery, draw_query
from personsearch.data.facts.swaps import WrongCaptions
from personsearch.data.facts.words import facts_in
from personsearch.data.records import ImageRecord

FACT_NAMES = np.array([fact.name for fact in FACTS])


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What is known of N pairs.

    `known_NF` and `stated_NF` hold TRUE, FALSE or UNKNOWN: what is known of each image, what its caption states.
    `asked_NF` is true where the pair's short query asks for a fact, `group_N` is the group of near twins, `layout_NC`
    says which part each cell of the image shows.
    """

    known_NF: Tensor
    stated_NF: Tensor
    asked_NF: Tensor
    group_N: Tensor
    layout_NC: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        """All of it."""
        return tuple(getattr(self, each.name) for each in fields(self))

    def to(self, device: torch.device) -> "BatchFacts":
        """On a device."""
        return BatchFacts(*(value.to(device) for value in self.tensors()))

    def rows(self, rows: slice) -> "BatchFacts":
        """Of some of the pairs."""
        return BatchFacts(*(value[rows] for value in self.tensors()))

    def gathered(self, gather: Callable[[Tensor], Tensor]) -> "BatchFacts":
        """Of all processes."""
        return BatchFacts(*(gather(value) for value in self.tensors()))

    def fitting(self) -> Tensor:
        """TRUE, FALSE or UNKNOWN [N, N] for each image (row) and short query (column): false as soon as one fact is."""
        asked_FN = self.asked_NF.float().T
        false_NN = (self.known_NF == FALSE).float() @ asked_FN > 0
        unknown_NN = ((self.known_NF == UNKNOWN).float() @ asked_FN > 0) | (asked_FN.sum(dim=0) == 0)
        fitting_NN = torch.full_like(false_NN, TRUE, dtype=torch.int8)
        return fitting_NN.masked_fill(unknown_NN, UNKNOWN).masked_fill(false_NN, FALSE)

    def ambiguous(self, person_ids_N: Tensor) -> Tensor:
        """Where [N, N] a caption (column) states nothing that is false of the near twin in an image (row)."""
        twins_NN = self.group_N[:, None] == self.group_N[None, :]
        twins_NN &= person_ids_N[:, None] != person_ids_N[None, :]
        wrong_NN = (self.known_NF == FALSE).float() @ (self.stated_NF == TRUE).float().T
        wrong_NN += (self.known_NF == TRUE).float() @ (self.stated_NF == FALSE).float().T
        return twins_NN & (wrong_NN == 0)


@dataclass(frozen=True, slots=True)
class FactSource:
    """The facts of a data set's images [G], by the row of their records; their groups of near twins, their layouts and
    what makes their captions wrong, where a loss needs them.
    """

    records: Sequence[ImageRecord]
    known_GF: NDArray[np.int8]
    group_G: NDArray[np.int64] | None = None
    layout_GC: NDArray[np.int8] | None = None
    wrong: WrongCaptions | None = None

    @classmethod
    def of(
        cls,
        records: Sequence[ImageRecord],
        group_G: NDArray[np.int64] | None = None,
        *,
        layout: bool = False,
        wrong: bool = False,
    ) -> "FactSource":
        """Read from the records' attributes, or else from their captions."""
        known_GF = fact_table(records)
        made = WrongCaptions.of(records, known_GF) if wrong else None
        return cls(records, known_GF, group_G, layouts(records) if layout else None, made)

    @property
    def images_with_facts(self) -> int:
        """How many images something is known of."""
        return int((self.known_GF != UNKNOWN).any(axis=1).sum())

    def queries(self, images_N: NDArray[np.int64], generators: Iterable[np.random.Generator]) -> list[ShortQuery]:
        """A short query that each pair's image fits; its first caption, asking for nothing, where no fact is known."""
        drawn = []
        for image, generator in zip(images_N.tolist(), generators, strict=True):
            query = draw_query(FACT_NAMES[self.known_GF[image] == TRUE].tolist(), generator)
            drawn.append(query or ShortQuery(self.records[image].captions[0], ()))
        return drawn

    def wrong_caption(self, image: int, text: str, generator: np.random.Generator) -> str | None:
        """The caption of an image with one thing made wrong; None where it names nothing that can be."""
        assert self.wrong is not None
        swap = self.wrong.draw(image, text, generator)
        return None if swap is None else swap.text

    def of_batch(
        self, images_N: NDArray[np.int64], captions_N: NDArray[np.int64], queries: Sequence[ShortQuery]
    ) -> BatchFacts:
        """What is known of a batch."""
        stated_NF = np.full((len(images_N), len(FACTS)), UNKNOWN, np.int8)
        asked_NF = np.zeros((len(images_N), len(FACTS)), bool)
        if self.group_G is not None:
            for row, (image, caption) in enumerate(zip(images_N.tolist(), captions_N.tolist(), strict=True)):
                for name, value in facts_in(self.records[image].captions[caption]).items():
                    stated_NF[row, FACT_INDEX[name]] = value
        for row, query in enumerate(queries):
            asked_NF[row, [FACT_INDEX[name] for name in query.facts]] = True
        group_N = images_N if self.group_G is None else self.group_G[images_N]
        unknown_NC = np.full((len(images_N), NUM_CELLS), NO_LAYOUT, np.int8)
        layout_NC = unknown_NC if self.layout_GC is None else self.layout_GC[images_N]
        arrays = (self.known_GF[images_N], stated_NF, asked_NF, group_N, layout_NC)
        return BatchFacts(*map(torch.from_numpy, arrays))
