"""Claim: in training, our layers take less time than the layers of torch and open_clip that they replace.

Run: `python benchmarks/layers.py [--rounds 15]`; prints one row per layer: CPU milliseconds, forward and backward, of
ours and of theirs at the sizes of ViT-B/16, timed one after the other in every round, and the median ratio. Runs on one
thread and keeps freed memory, as training does; the last row shows what keeping memory saves.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median

import torch
from open_clip.transformer import QuickGELU
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import gelu, scaled_dot_product_attention

from personsearch.models.composed_attention import attention
from personsearch.models.quick_gelu import FusedQuickGELU
from personsearch.training.cpu import kept_memory

IMAGES, PATCHES, WIDTH, HIDDEN = 16, 197, 768, 3072
CAPTIONS, TOKENS, HEADS, HEAD_WIDTH, DROPOUT = 48, 32, 8, 64, 0.05
Action = Callable[[], object]


def main() -> None:
    """Time each pair in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    table = Table("layer", "ours ms", "theirs ms", "ours ÷ theirs")
    with kept_memory():
        for name, (ours, theirs) in layers().items():
            table.add_row(name, *in_turns(ours, theirs, rounds))
    table.add_row("linear and GELU: freed memory kept or returned", *in_turns(*memory(), rounds))
    Console(width=110).print(table)


def layers() -> dict[str, tuple[Action, Action]]:
    """Each layer of ours with what it replaces."""
    ours = FusedQuickGELU().train()
    hidden = torch.randn(IMAGES * PATCHES, HIDDEN, requires_grad=True)
    parts = [torch.randn(CAPTIONS, HEADS, TOKENS, HEAD_WIDTH, requires_grad=True) for _ in range(3)]
    mask_LL = torch.full((TOKENS, TOKENS), float("-inf")).triu(1)

    def short(dropout: float) -> tuple[Action, Action]:
        return (
            both_ways(lambda *p: attention(*p, mask_LL, dropout=dropout, training=True), *parts),
            both_ways(lambda *p: scaled_dot_product_attention(*p, attn_mask=mask_LL, dropout_p=dropout), *parts),
        )

    return {
        "QuickGELU, against open_clip's": (both_ways(ours, hidden), both_ways(QuickGELU(), hidden)),
        "QuickGELU, against torch's GELU": (both_ways(ours, hidden), both_ways(gelu, hidden)),
        f"attention over {TOKENS} tokens": short(0.0),
        f"attention over {TOKENS} tokens, dropout": short(DROPOUT),
    }


def memory() -> tuple[Action, Action]:
    """A step through one feed-forward layer, reusing the memory of the step before or with new memory."""
    tokens, weight = torch.randn(IMAGES * PATCHES, WIDTH), torch.randn(HIDDEN, WIDTH, requires_grad=True)
    step = both_ways(lambda weight: gelu(tokens @ weight.T), weight)

    def within(context: Callable[[], object]) -> Action:
        def steps() -> None:
            with context():  # type: ignore[attr-defined]
                for _ in range(4):
                    step()

        return steps

    return within(kept_memory), within(nullcontext)


def both_ways(layer: Callable[..., Tensor], *inputs: Tensor) -> Action:
    """Forward, and backward from a gradient of ones."""

    def action() -> None:
        output = layer(*inputs)
        output.backward(torch.ones_like(output))
        for value in inputs:
            value.grad = None

    return action


def in_turns(ours: Action, theirs: Action, rounds: int) -> tuple[str, str, str]:
    """Median milliseconds of both, and the median ratio."""
    ours(), theirs()
    times = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    ratio = median(one / other for one, other in times)
    return *(f"{median(column):.1f}" for column in zip(*times, strict=True)), f"{ratio:.2f}"


def timed(action: Action) -> float:
    """CPU milliseconds of this process."""
    start = time.process_time()
    action()
    return 1000 * (time.process_time() - start)


if __name__ == "__main__":
    main()
