"""Claim: retrieval metrics at the size of ICFG-PEDES (19,848 × 19,848, D = 512) need less than 2 GiB.

Run: `python benchmarks/evaluation.py [--size 19848] [--dim 512]`; prints one table.
"""

import argparse
import resource
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from personsearch.evaluation.metrics import retrieval_metrics


def main() -> None:
    """Rank noisy copies of identity vectors, as many queries as gallery images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=19_848)
    parser.add_argument("--dim", type=int, default=512)
    options = parser.parse_args()
    query_QD, gallery_GD, ids = _embeddings(options.size, options.dim)
    before = _peak_gib()
    start = time.perf_counter()
    metrics = retrieval_metrics(query_QD, gallery_GD, ids, ids)
    seconds = time.perf_counter() - start
    table = Table("queries × gallery", "seconds", "peak GiB before", "peak GiB", "R@1", "mAP", "mINP")
    figures = (seconds, before, _peak_gib(), metrics.r1, metrics.map, metrics.minp)
    table.add_row(f"{options.size:,} × {options.size:,}", *(f"{figure:.2f}" for figure in figures))
    Console().print(table)


def _embeddings(size: int, dim: int, images_per_identity: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(0)
    ids = np.arange(size) // images_per_identity
    identity_ID = numbers.standard_normal((ids[-1] + 1, dim), dtype=np.float32)
    query_QD, gallery_GD = (_unit(identity_ID[ids], noise, numbers) for noise in (4.0, 2.0))
    return query_QD, gallery_GD, ids


def _unit(vectors_ND: np.ndarray, noise: float, numbers: np.random.Generator) -> np.ndarray:
    noisy_ND = vectors_ND + noise * numbers.standard_normal(vectors_ND.shape, dtype=np.float32)
    return noisy_ND / np.linalg.norm(noisy_ND, axis=1, keepdims=True)


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
