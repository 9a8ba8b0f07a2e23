"""Deterministic choice of identities: the same ones on any machine and in any order of the rows."""

import hashlib
from collections.abc import Iterable
from typing import TypeVar

from personsearch.data.records import Split

Identity = TypeVar("Identity", int, str)

VAL_SHARE = TEST_SHARE = 0.1


def rank_identities(identities: Iterable[Identity]) -> list[Identity]:
    """The distinct identities in an arbitrary order that is always the same (by SHA-256)."""
    return sorted(set(identities), key=lambda identity: hashlib.sha256(str(identity).encode()).digest())


def hold_out(identities: Iterable[Identity], fraction: float) -> frozenset[Identity]:
    """The given share of the identities, rounded, at least one; none for fraction 0."""
    ranked = rank_identities(identities)
    count = max(1, round(fraction * len(ranked))) if fraction > 0 and ranked else 0
    return frozenset(ranked[:count])


def assign_splits(identities: Iterable[Identity]) -> dict[Identity, Split]:
    """Divide identities 80/10/10 into train, val and test; from three identities on, each gets at least one."""
    ranked = rank_identities(identities)
    val = max(1, round(VAL_SHARE * len(ranked))) if len(ranked) >= 3 else 0
    test = max(1, round(TEST_SHARE * len(ranked))) if len(ranked) >= 3 else 0
    splits: dict[Identity, Split] = dict.fromkeys(ranked, "train")
    splits.update(dict.fromkeys(ranked[:val], "val"))
    splits.update(dict.fromkeys(ranked[val : val + test], "test"))
    return splits
