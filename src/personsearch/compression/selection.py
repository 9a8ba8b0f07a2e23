"""Which layers to freeze or drop in a new training: TBPS-CLIP's choice by contribution and criticality."""

from collections.abc import Sequence

SAME_SUM = 9  # decimals: sums that differ only by rounding are equal


def select_layers(contribution: Sequence[float], criticality: Sequence[float], count: int) -> tuple[int, ...]:
    """Of all subsets of `count` layers, the one with the smallest sum of both figures; layers count from 1.

    A subset's sum is that of its members, so the best subset is the `count` smallest members. Of layers with equal
    sums the lower ones are taken.

    Raises:
        ValueError: the figures are not one per layer, or there are fewer layers than `count`.
    """
    if len(contribution) != len(criticality) or not 0 <= count <= len(contribution):
        raise ValueError(
            f"{count} of layers with {len(contribution)} contributions and {len(criticality)} criticalities"
        )
    sums = [round(sum(figures), SAME_SUM) for figures in zip(contribution, criticality, strict=True)]
    order = sorted(range(len(sums)), key=sums.__getitem__)
    return tuple(sorted(layer + 1 for layer in order[:count]))
