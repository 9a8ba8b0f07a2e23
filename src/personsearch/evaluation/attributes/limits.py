"""What a model sees, in words: a section of its model card, from its metrics."""

import re
from collections.abc import Mapping

from personsearch.evaluation.attributes.questions import GROUPS

BLIND, SEEING = 0.7, 0.9
BLIND_TO = "It does not see"
HEADING = "## What it sees"
AUC = "attribute_auc_"
SECTION = re.compile(rf"\n*^{HEADING}$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def limits(metrics: Mapping[str, float]) -> list[str]:
    """One sentence each on what it does not see, sees in part and sees; none if that was not measured."""
    measured = [(group.label, metrics[AUC + group.name]) for group in GROUPS if AUC + group.name in metrics]
    blind = [(label, auc) for label, auc in measured if not auc >= BLIND]
    partly = [(label, auc) for label, auc in measured if BLIND <= auc < SEEING]
    seen = [(label, auc) for label, auc in measured if auc >= SEEING]
    parts = ((BLIND_TO, blind), ("It sees in part", partly), ("It sees", seen))
    return [f"{start} {_list(found)}." for start, found in parts if found]


def with_limits(card: str, metrics: Mapping[str, float], split: str) -> str:
    """A model card with a section on what the model sees on `split`, in place of an earlier one."""
    sentences = limits(metrics)
    if not sentences:
        return card
    if sentences[0].startswith(BLIND_TO):
        sentences.append("A search for what it does not see finds people who fit the rest of the description.")
    lines = "\n".join(f"- {sentence}" for sentence in sentences)
    intro = f"Asked in words about one thing at a time on split {split}; the AUC is in brackets (0.5 is a coin toss)."
    return f"{SECTION.sub('', card).rstrip()}\n\n{HEADING}\n\n{intro}\n\n{lines}\n"


def _list(found: list[tuple[str, float]]) -> str:
    return ", ".join(f"{label} ({auc:.2f})" for label, auc in found)
