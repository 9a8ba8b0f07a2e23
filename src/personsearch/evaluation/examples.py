"""Queries to look at: some answered rightly, some wrongly, with the pictures that came first.

Shapes: K candidates.
"""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from personsearch.data.records import ImageRecord
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.metrics import QueryRanks, top_candidates
from personsearch.images import open_image

SHOWN_CANDIDATES = 5
THUMBNAIL = (160, 80)
JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Picture:
    """A thumbnail as a data address, and whether it shows the person asked for."""

    source: str
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A caption, the picture it describes, the rank of the first right image, and the best candidates."""

    caption: str
    described: Picture
    first_rank: int
    candidates: list[Picture]


def pick_examples(
    dataset: Path, embeddings: SplitEmbeddings, ranks: QueryRanks, *, right: bool, most: int
) -> list[Example]:
    """At most `most` queries, evenly spread over those whose best candidate is right (or wrong)."""
    pool = np.flatnonzero((ranks.first_rank == 1) if right else (ranks.first_rank > 1))
    if len(pool) == 0 or most == 0:
        return []
    chosen = pool[np.unique(np.linspace(0, len(pool) - 1, min(most, len(pool))).astype(int))]
    indices, scores = top_candidates(embeddings.text_QD[chosen], embeddings.image_GD, SHOWN_CANDIDATES)
    return [
        _example(dataset, embeddings, int(query), int(ranks.first_rank[query]), list(zip(row, best, strict=True)))
        for query, row, best in zip(chosen, indices.tolist(), scores.tolist(), strict=True)
    ]


def thumbnail(path: Path) -> str:
    """A small JPEG as a data address that a page can hold."""
    image = open_image(path)
    image.thumbnail((THUMBNAIL[1], THUMBNAIL[0]), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _example(
    dataset: Path, embeddings: SplitEmbeddings, query: int, first_rank: int, best: list[tuple[int, float]]
) -> Example:
    described = int(embeddings.image_of_caption[query])
    person = embeddings.records[described].person_id

    def picture(record: ImageRecord, score: float) -> Picture:
        return Picture(thumbnail(dataset / record.path), score, record.person_id == person)

    own_score = float(embeddings.text_QD[query] @ embeddings.image_GD[described])
    return Example(
        caption=embeddings.captions[query],
        described=picture(embeddings.records[described], own_score),
        first_rank=first_rank,
        candidates=[picture(embeddings.records[index], score) for index, score in best],
    )
