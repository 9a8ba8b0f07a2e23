"""Unit vectors in memory as float32, as one byte per dimension, or as one bit per dimension beside the bytes.

int8    codes = round(127 · x / max|x|), scaled by each vector's own largest component, so nothing has to be fitted.
        Codes represent the unit vector codes / |codes|; a search scores its cosine with the float query.
bits    one bit per dimension: whether the vector that the int8 codes represent is at or above the crops' centre there.
        A query's bits are relative to the queries' centre, because images and texts lie in different parts of the
        space: bits relative to zero would mostly tell images from texts. Hamming distance finds candidates, and their
        int8 codes score them.

Shapes: N crops, Q queries, C chosen crops, D embedding dimension, B bytes and W 64-bit words of a vector's bits.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

VectorStorage = Literal["float32", "int8", "binary"]
Rows = slice | NDArray[np.int64]

LARGEST = 127


@dataclass(frozen=True, eq=False)
class Centres:
    """The mean vectors of crops and of queries, rounded to float16 so that every reader gets the same values."""

    crops_D: NDArray[np.float32]
    queries_D: NDArray[np.float32]

    @classmethod
    def of(cls, crops_ND: NDArray[np.float32], queries_QD: NDArray[np.float32]) -> "Centres":
        return cls(*(vectors.mean(axis=0).astype(np.float16).astype(np.float32) for vectors in (crops_ND, queries_QD)))

    @classmethod
    def zero(cls, embedding_dim: int) -> "Centres":
        return cls(np.zeros(embedding_dim, dtype=np.float32), np.zeros(embedding_dim, dtype=np.float32))

    @classmethod
    def from_text(cls, text: str) -> "Centres":
        """The inverse of `to_text`."""
        both = np.frombuffer(base64.b64decode(text), dtype="<f2").astype(np.float32)
        return cls(*both.reshape(2, -1))

    def to_text(self) -> str:
        """Base64 of little-endian float16: the crops' centre, then the queries'."""
        return base64.b64encode(np.concatenate([self.crops_D, self.queries_D]).astype("<f2").tobytes()).decode()


@dataclass(frozen=True, slots=True)
class Coding:
    """How a collection keeps its vectors.

    `binary` scores `oversampling` candidates for each result again, by their int8 codes. Its centres are measured
    before the first vector is coded; two collections that differ only in their centres count as coded alike.
    """

    vectors: VectorStorage = "float32"
    oversampling: int = 1
    centres: Centres | None = field(default=None, compare=False)

    def centres_of(self, embedding_dim: int) -> Centres:
        """The centres, zero where none were measured."""
        return self.centres or Centres.zero(embedding_dim)

    def candidates(self, k: int, most: int) -> int:
        """How many candidates to fetch for `k` results, at most `most`."""
        return min(k * self.oversampling, max(k, most))


FLOAT32 = Coding()


def int8_codes(vectors_ND: NDArray[np.float32]) -> NDArray[np.int8]:
    """Codes of vectors; no vector may be zero."""
    largest_N1 = np.abs(vectors_ND).max(axis=1, keepdims=True, initial=0.0)
    codes_ND: NDArray[np.int8] = np.round(vectors_ND * (LARGEST / largest_N1)).astype(np.int8)
    return codes_ND


def code_lengths(codes_ND: NDArray[np.int8]) -> NDArray[np.float32]:
    """Euclidean lengths [N]."""
    squares_N = np.einsum("nd,nd->n", codes_ND, codes_ND, dtype=np.int32)  # exact: the sum would overflow int8
    length_N: NDArray[np.float32] = np.sqrt(squares_N.astype(np.float32))
    return length_N


def unit_vectors(codes_ND: NDArray[np.int8]) -> NDArray[np.float32]:
    """The vectors that codes represent."""
    return codes_ND.astype(np.float32) / code_lengths(codes_ND)[:, None]


def bits_about(vectors_ND: NDArray[np.float32], centre_D: NDArray[np.float32]) -> NDArray[np.uint8]:
    """One bit per dimension [N, B]: whether it is at or above the centre; the last byte is padded with zeros."""
    return np.packbits(vectors_ND >= centre_D, axis=1)


def as_words(bits_NB: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Bits as 64-bit words [W, N], padded with zeros: in this layout a scan reads memory sequentially."""
    padded_NB = np.pad(bits_NB, ((0, 0), (0, -bits_NB.shape[1] % 8)))
    return np.ascontiguousarray(np.ascontiguousarray(padded_NB).view(np.uint64).T)


def hamming(query_W: NDArray[np.uint64], words_WN: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """The number of bits [N] in which each vector differs from the query."""
    distance_N = np.zeros(words_WN.shape[1], dtype=np.uint16)
    for query, word_N in zip(query_W, words_WN, strict=True):
        distance_N += np.bitwise_count(word_N ^ query)
    return distance_N


class StoredVectors(Protocol):
    """N vectors in one coding."""

    @property
    def nbytes(self) -> int:
        """Their bytes in memory."""
        ...

    def __len__(self) -> int: ...

    def take(self, rows_C: Rows) -> Self:
        """The chosen vectors, in the order given."""
        ...

    def joined(self, others: Sequence[Self]) -> Self:
        """These vectors, then those of the others."""
        ...

    def scores(self, queries_QD: NDArray[np.float32], rows_C: Rows) -> NDArray[np.float32]:
        """Cosines [Q, C] of float queries with the chosen vectors."""
        ...

    def decoded(self, rows_C: Rows) -> NDArray[np.float32]:
        """The chosen vectors at unit length [C, D], as exactly as their coding allows."""
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

    def take(self, rows_C: Rows) -> "FloatVectors":
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

    def take(self, rows_C: Rows) -> "Int8Vectors":
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

    def take(self, rows_C: Rows) -> "BinaryVectors":
        return BinaryVectors(self.codes.take(rows_C), self.words_WN[:, rows_C], self.centres)

    def joined(self, others: Sequence["BinaryVectors"]) -> "BinaryVectors":
        words_WN = np.concatenate([part.words_WN for part in (self, *others)], axis=1)
        return BinaryVectors(self.codes.joined([other.codes for other in others]), words_WN, self.centres)

    def scores(self, queries_QD: NDArray[np.float32], rows_C: Rows) -> NDArray[np.float32]:
        return self.codes.scores(queries_QD, rows_C)

    def decoded(self, rows_C: Rows) -> NDArray[np.float32]:
        return self.codes.decoded(rows_C)

    def nearest(self, query_D: NDArray[np.float32], rows_C: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The rows among `rows_C` with the `count` smallest Hamming distances, and all that tie with the last of them.

        Distances are small whole numbers and tie often; without the ties the result would depend on the rows' order.
        """
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
    return BinaryVectors.of_codes(codes, coding.centres_of(vectors_ND.shape[1]))
