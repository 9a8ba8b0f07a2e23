"""How a collection's vectors are stored in Milvus, and how results are scored.

    float32  `embedding`: FLOAT_VECTOR, scanned or in a graph. Scored by the engine.
    int8     `embedding`: FLOAT_VECTOR under IVF_SQ8 with one list: a server holds and scans a byte for each number; the
             floats stay in its storage and rescore the results of the scan.
    binary   `embedding`: BINARY_VECTOR, scanned by Hamming distance; `embedding_int8`: the int8 codes in base64, which
             rescore the results of the scan.

Milvus Lite cannot store small vectors: it keeps float32, and the coding applies to the service's copy in memory only.
Shapes: N crops, Q queries, D embedding dimension.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pymilvus import CollectionSchema, DataType

from personsearch.integrations.milvus.options import CollectionOptions
from personsearch.search.index import MAX_K, CollectionProperties
from personsearch.search.quantised import Centres, Coding, Int8Vectors, bits_about, int8_codes, unit_vectors

VECTOR = "embedding"
CODES = "embedding_int8"
FLOAT_VECTORS = "The picture's vector, float32, of length 1: the cosine of two is their inner product."
BITS = (
    "A bit for each number of the picture's vector, most significant first: whether it is above that number of the "
    "centre in the property centres. Only finds candidates, by Hamming distance."
)
INT8_CODES = (
    "The picture's vector as int8 in base64, round(127 x / max|x|); scaled to length 1, its inner product with a unit "
    "vector is their cosine."
)
SECOND_LOOK = 2  # candidates that an IVF_SQ8 scan fetches for each result, since its byte codes misorder close scores


class VectorLayout(Protocol):
    """What differs between the codings of vectors. `rescored`: candidates are fetched with their vectors."""

    @property
    def rescored(self) -> bool: ...

    @property
    def properties(self) -> dict[str, str]:
        """The collection properties to set in Milvus."""
        ...

    @property
    def vector_fields(self) -> list[str]:
        """The fields that `decoded` needs."""
        ...

    def add_fields(self, schema: CollectionSchema) -> None:
        """Add the vector fields to the schema."""
        ...

    def index_parameters(self, crops: int) -> dict[str, Any]:
        """Index parameters of the field `embedding` in a collection that is made for so many crops.

        Raises:
            UserError: such vectors have no index of that type.
        """
        ...

    def search_parameters(self, limit: int) -> dict[str, Any]:
        """Search parameters of that index for `limit` results."""
        ...

    def columns(self, vectors_ND: NDArray[np.float32]) -> list[dict[str, Any]]:
        """The values of each row's vector fields."""
        ...

    def queries(self, vectors_QD: NDArray[np.float32]) -> list[Any]:
        """The queries in the form that the engine searches for."""
        ...

    def candidates(self, k: int) -> int:
        """How many engine results the `k` hits are chosen from."""
        ...

    def first_limit(self, candidates: int) -> int:
        """How many results to request, so that ties with the last candidate are usually included."""
        ...

    def decoded(self, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        """Unit vectors [N, D] of rows that were read with `vector_fields`."""
        ...

    def scores(self, query_D: NDArray[np.float32], rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        """Cosines [N] of rows that were read with `vector_fields`."""
        ...


def layout_of(properties: CollectionProperties, options: CollectionOptions, *, is_lite: bool) -> VectorLayout:
    """How an engine keeps the vectors of a collection with these properties."""
    coding, embedding_dim = properties.coding, properties.embedding_dim
    if coding.vectors == "binary" and not is_lite:
        return BitsLayout(embedding_dim, options, coding, coding.centres or Centres.zero(embedding_dim))
    return FloatLayout(embedding_dim, options, is_lite=is_lite, rescored=coding.vectors == "int8" and not is_lite)


@dataclass(frozen=True)
class FloatLayout:
    """Float vectors; `rescored` if the engine searches one byte per dimension."""

    embedding_dim: int
    options: CollectionOptions
    is_lite: bool
    rescored: bool

    @property
    def properties(self) -> dict[str, str]:
        return {}

    @property
    def vector_fields(self) -> list[str]:
        return [VECTOR]

    def add_fields(self, schema: CollectionSchema) -> None:
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=self.embedding_dim, description=FLOAT_VECTORS)

    def index_parameters(self, crops: int) -> dict[str, Any]:
        if self.rescored:
            self.options.refuse_graph("int8")
            return {"index_type": "IVF_SQ8", "metric_type": "COSINE", "params": {"nlist": 1}}
        return self.options.index_parameters(crops, is_lite=self.is_lite)

    def search_parameters(self, limit: int) -> dict[str, Any]:
        if self.rescored:
            return {"metric_type": "COSINE", "params": {"nprobe": 1}}
        return self.options.search_parameters(limit)

    def columns(self, vectors_ND: NDArray[np.float32]) -> list[dict[str, Any]]:
        return [{VECTOR: vector} for vector in vectors_ND.tolist()]

    def queries(self, vectors_QD: NDArray[np.float32]) -> list[Any]:
        return list(vectors_QD.tolist())

    def candidates(self, k: int) -> int:
        return min(k * SECOND_LOOK, MAX_K) if self.rescored else k

    def first_limit(self, candidates: int) -> int:
        return candidates + 1

    def decoded(self, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        return np.array([row[VECTOR] for row in rows], dtype=np.float32).reshape(-1, self.embedding_dim)

    def scores(self, query_D: NDArray[np.float32], rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        return self.decoded(rows) @ query_D


@dataclass(frozen=True)
class BitsLayout:
    """One bit per dimension in the vector field, one byte per dimension in a string field."""

    embedding_dim: int
    options: CollectionOptions
    coding: Coding
    centres: Centres
    rescored: bool = True

    @property
    def properties(self) -> dict[str, str]:
        return {"mmap.enabled": "true"}  # a server that may memory-map files need not hold the codes in RAM

    @property
    def vector_fields(self) -> list[str]:
        return [CODES]

    def add_fields(self, schema: CollectionSchema) -> None:
        size = -(-self.embedding_dim // 8) * 8
        schema.add_field(VECTOR, DataType.BINARY_VECTOR, dim=size, description=BITS)
        longest = -(-self.embedding_dim // 3) * 4
        schema.add_field(CODES, DataType.VARCHAR, max_length=longest, description=INT8_CODES)

    def index_parameters(self, crops: int) -> dict[str, Any]:
        self.options.refuse_graph("binary")
        return {"index_type": "BIN_FLAT", "metric_type": "HAMMING", "params": {}}

    def search_parameters(self, limit: int) -> dict[str, Any]:
        return {"metric_type": "HAMMING", "params": {}}

    def columns(self, vectors_ND: NDArray[np.float32]) -> list[dict[str, Any]]:
        codes_ND = int8_codes(vectors_ND)
        bits_NB = bits_about(unit_vectors(codes_ND), self.centres.crops_D)
        return [
            {VECTOR: bits.tobytes(), CODES: base64.b64encode(codes.tobytes()).decode()}
            for bits, codes in zip(bits_NB, codes_ND, strict=True)
        ]

    def queries(self, vectors_QD: NDArray[np.float32]) -> list[Any]:
        return [bits.tobytes() for bits in bits_about(vectors_QD, self.centres.queries_D)]

    def candidates(self, k: int) -> int:
        return self.coding.candidates(k, MAX_K)

    def first_limit(self, candidates: int) -> int:
        return candidates + candidates // 2 + 1  # Hamming distances are whole numbers

    def decoded(self, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        return self._codes(rows).decoded(slice(None))

    def scores(self, query_D: NDArray[np.float32], rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        [scores_N] = self._codes(rows).scores(query_D[None], slice(None))
        return np.asarray(scores_N)

    def _codes(self, rows: Sequence[Mapping[str, Any]]) -> Int8Vectors:
        joined = b"".join(base64.b64decode(row[CODES]) for row in rows)
        return Int8Vectors.of_codes(np.frombuffer(joined, dtype=np.int8).reshape(-1, self.embedding_dim))
