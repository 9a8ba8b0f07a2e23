"""Quality by camera and by what is known of the people, so that a mean cannot hide a weak slice."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personsearch.data.records import ImageRecord
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.metrics import QueryRanks, summarise


@dataclass(frozen=True, slots=True)
class Slice:
    """Text→image quality of the queries whose image has `value`, in percent."""

    value: str
    queries: int
    r1: float
    r10: float
    map: float


def by_camera(ranks: QueryRanks, embeddings: SplitEmbeddings) -> list[Slice]:
    """One slice per camera of the described image, by name; empty where no camera is known."""
    return _slices(ranks, embeddings, [record.camera_id for record in embeddings.records])


def by_attribute(ranks: QueryRanks, embeddings: SplitEmbeddings) -> dict[str, list[Slice]]:
    """For each attribute of the manifest one slice per value."""
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
