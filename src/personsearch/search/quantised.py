"""Quantises unit vectors to one byte or one bit per dimension.

Shapes: N crops, Q queries, D embedding dimension, B bytes and W 64-bit words of a vector's bits.

int8    codes = round(127 · x / max|x|), scaled by each vector's own largest number, so nothing has to be fitted first.
        Codes represent the unit vector codes / |codes|; a search scores its cosine with the float query.
bits    one bit per dimension: whether the vector that the int8 codes represent is at or above the crops' centre there.
        A query's bits are relative to the queries' centre, because images and texts lie in different parts of the
        space: bits relative to zero would mostly say which part. Hamming distance finds candidates, int8 codes score
        them.
"""

import base64
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

VectorStorage = Literal["float32", "int8", "binary"]

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

    `binary` rescores `oversampling` candidates for each result by their int8 codes. Its centres are measured before the
    first vector is coded; two collections that differ only in their centres count as coded alike.
    """

    vectors: VectorStorage = "float32"
    oversampling: int = 1
    centres: Centres | None = field(default=None, compare=False)

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
    squares_N = np.einsum("nd,nd->n", codes_ND, codes_ND, dtype=np.int32)
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
    """How many bits of each vector differ from the query's [N]."""
    distance_N = np.zeros(words_WN.shape[1], dtype=np.uint16)
    for query, word_N in zip(query_W, words_WN, strict=True):
        distance_N += np.bitwise_count(word_N ^ query)
    return distance_N
