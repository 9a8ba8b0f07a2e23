"""Does the model read every word? A caption must fit its own image better than the same with one thing made wrong.

Shapes: Q captions, S sentences of one kind, D embedding dimension.
"""

from dataclasses import dataclass

import numpy as np

from personsearch.data.facts.swaps import swapped
from personsearch.encoders.encoder import Encoder
from personsearch.evaluation.embeddings import SplitEmbeddings

MOST_READ = 20_000
FEWEST_SENTENCES = 20
TIE = 1e-7


@dataclass(frozen=True, slots=True)
class SwapFigures:
    """Of so many sentences with a thing of this kind, the share [%] that fit better than with it made wrong."""

    kind: str
    sentences: int
    preferred: float

    @property
    def name(self) -> str:
        """The kind as a part of a metric's name."""
        return self.kind.replace(" ", "_")


def swapped_sentences(encoder: Encoder, embeddings: SplitEmbeddings, most: int) -> tuple[SwapFigures, ...]:
    """Ask for at most `most` captions of each kind, drawn with a fixed seed; kinds with too few are left out.

    A tie counts half, as when the tokenizer cannot tell the two words apart.
    """
    figures = []
    for kind, pairs in _draw(embeddings.captions, most).items():
        if len(pairs) < min(FEWEST_SENTENCES, most):
            continue
        rows_S = np.array([index for index, _ in pairs])
        image_SD = embeddings.image_GD[embeddings.image_of_caption[rows_S]]
        wrong_SD = encoder.encode_texts([text for _, text in pairs])
        lead_S = (image_SD * embeddings.text_QD[rows_S]).sum(axis=1) - (image_SD * wrong_SD).sum(axis=1)
        preferred_S = np.where(np.abs(lead_S) < TIE, 0.5, lead_S > 0)
        figures.append(SwapFigures(kind, len(pairs), 100.0 * float(preferred_S.mean())))
    return tuple(sorted(figures, key=lambda figure: figure.kind))


def _draw(captions: list[str], most: int) -> dict[str, list[tuple[int, str]]]:
    """Kind → captions' indices with the wrong sentence."""
    drawn: dict[str, list[tuple[int, str]]] = {}
    for index in np.random.default_rng(0).permutation(len(captions))[:MOST_READ]:
        for swap in swapped(captions[index]):
            pairs = drawn.setdefault(swap.kind, [])
            if len(pairs) < most:
                pairs.append((int(index), swap.text))
    return drawn
