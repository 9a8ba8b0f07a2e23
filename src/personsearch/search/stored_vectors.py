"""Vectors in memory: as float32, as int8 codes, or as bits together with int8 codes.

Shapes: N crops, Q queries, C chosen crops, D embedding dimension, W 64-bit words of a vector's bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from personsearch.search.quantised import Centres, Coding, as_words, bits_about, code_lengths, hamming, int8_codes

Rows = slice | NDArray[np.int64]


class StoredVectors(Protocol):
    """N vectors; `take` may reorder them."""

    @property
    def nbytes(self) -> int:
        """Their size in memory."""
        ...

    def __len__(self) -> int: ...

    def take(self, rows_C: NDArray[np.int64]) -> Self:
        """The chosen vectors, in the order given."""
        ...

    def joined(self, others: Sequence[Self]) -> Self:
        """These vectors, then those of the others."""
        ...

    def scores(self, queries_QD: NDArray[np.float32], rows_C: Rows) -> NDArray[np.float32]:
        """Cosines [Q, C] of float queries with the chosen vectors."""
        ...

    def decoded(self, rows_C: Rows) -> NDArray[np.float32]:
        """The chosen vectors, as far as their coding allows, at unit length [C, D]."""
        ...


@dataclass(frozen=True, slots=True)
class FloatVectors:
    """Four bytes per dimension."""

    vectors_ND: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        return self.vectors_ND.nbytes

    def __len__(self) -> int:
        return len(self.vectors_ND)

    def take(self, rows_C: NDArray[np.int64]) -> "FloatVectors":
        return FloatVectors(self.vectors_ND[rows_C])

    def joined(self, others: Sequence["FloatVectors"]) -> "FloatVectors":
        return FloatVectors(np.concatenate([self.vectors_ND, *(other.vectors_ND for other in others)]))

    def scores(self, queries_QD: NDArray[np.float32], rows_C: Rows) -> NDArray[np.float32]:
        return queries_QD @ self.vectors_ND[rows_C].T

    def decoded(self, rows_C: Rows) -> NDArray[np.float32]:
        return self.vectors_ND[rows_C]


@dataclass(frozen=True, slots=True)
class Int8Vectors:
    """One byte per dimension, and the length of each vector's codes."""

    codes_ND: NDArray[np.int8]
    length_N: NDArray[np.float32]

    @classmethod
    def of_codes(cls, codes_ND: NDArray[np.int8]) -> "Int8Vectors":
        return cls(codes_ND, code_lengths(codes_ND))

    @property
    def nbytes(self) -> int:
        return self.codes_ND.nbytes + self.length_N.nbytes

    def __len__(self) -> int:
        return len(self.codes_ND)

    def take(self, rows_C: NDArray[np.int64]) -> "Int8Vectors":
        return Int8Vectors(self.codes_ND[rows_C], self.length_N[rows_C])

    def joined(self, others: Sequence["Int8Vectors"]) -> "Int8Vectors":
        parts = (self, *others)
        codes_ND = np.concatenate([part.codes_ND for part in parts])
        return Int8Vectors(codes_ND, np.concatenate([part.length_N for part in parts]))

    def scores(self, queries_QD: NDArray[np.float32], rows_C: Rows) -> NDArray[np.float32]:
        scores_QC: NDArray[np.float32] = queries_QD @ self.codes_ND[rows_C].astype(np.float32).T
        scores_QC /= self.length_N[rows_C]
        return scores_QC

    def decoded(self, rows_C: Rows) -> NDArray[np.float32]:
        return self.codes_ND[rows_C].astype(np.float32) / self.length_N[rows_C][:, None]


@dataclass(frozen=True, slots=True)
class BinaryVectors:
    """One bit per dimension to find candidates, and one byte to score them."""

    codes: Int8Vectors
    words_WN: NDArray[np.uint64]
    centres: Centres

    @classmethod
    def of_codes(cls, codes: Int8Vectors, centres: Centres) -> "BinaryVectors":
        bits_NB = bits_about(codes.decoded(slice(None)), centres.crops_D)
        return cls(codes, as_words(bits_NB), centres)

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.words_WN.nbytes

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows_C: NDArray[np.int64]) -> "BinaryVectors":
        return BinaryVectors(self.codes.take(rows_C), self.words_WN[:, rows_C], self.centres)

    def joined(self, others: Sequence["BinaryVectors"]) -> "BinaryVectors":
        words_WN = np.concatenate([part.words_WN for part in (self, *others)], axis=1)
        return BinaryVectors(self.codes.joined([other.codes for other in others]), words_WN, self.centres)

    def scores(self, queries_QD: NDArray[np.float32], rows_C: Rows) -> NDArray[np.float32]:
        return self.codes.scores(queries_QD, rows_C)

    def decoded(self, rows_C: Rows) -> NDArray[np.float32]:
        return self.codes.decoded(rows_C)

    def nearest(self, query_D: NDArray[np.float32], rows_C: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The chosen rows with the `count` smallest Hamming distances, and all that tie with the last of them."""
        if len(rows_C) <= count:
            return rows_C
        words_WC = self.words_WN if len(rows_C) == len(self) else self.words_WN[:, rows_C]
        query_W = as_words(bits_about(query_D[None], self.centres.queries_D))[:, 0]
        distance_C = hamming(query_W, words_WC)
        kept_C: NDArray[np.bool_] = distance_C <= np.partition(distance_C, count - 1)[count - 1]
        return rows_C[kept_C]


def stored_vectors(vectors_ND: NDArray[np.float32], coding: Coding) -> StoredVectors:
    """Unit vectors, coded."""
    if coding.vectors == "float32":
        return FloatVectors(vectors_ND)
    codes = Int8Vectors.of_codes(int8_codes(vectors_ND))
    if coding.vectors == "int8":
        return codes
    return BinaryVectors.of_codes(codes, coding.centres or Centres.zero(vectors_ND.shape[1]))
