"""The training objective: a weighted sum of named losses of one forward pass.

Each loss declares the views of image and text that it reads; together they decide which views a step encodes.

Shapes: N pairs of the global batch, D embedding dimension.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Self

import torch
from pydantic import Field, PositiveInt, field_validator, model_validator
from torch import Tensor, nn
from torch.nn.functional import normalize

from personsearch.config import Config, nearest
from personsearch.data.facts.catalogue import FACTS
from personsearch.data.facts.layout import LAYOUT_GRID, PARTS
from personsearch.errors import UserError
from personsearch.losses.attributes import fact_loss, kinds_of_facts, query_loss
from personsearch.losses.c_itc import c_itc
from personsearch.losses.info_nce import info_nce
from personsearch.losses.layout import LayoutHead
from personsearch.losses.n_itc import n_itc
from personsearch.losses.nt_xent import nt_xent
from personsearch.losses.r_itc import r_itc
from personsearch.losses.sdm import sdm
from personsearch.losses.soft_labels import identity_targets
from personsearch.losses.swapped_captions import swapped_captions
from personsearch.losses.tal import tal
from personsearch.training.facts import BatchFacts

TOTAL = "loss"
IMAGE, IMAGE_2, SIMCLR_1, SIMCLR_2, REJECTED = "image", "image_2", "simclr_1", "simclr_2", "rejected"
TEXT, TEXT_2, QUERY, SWAPPED = "text", "text_2", "query", "swapped"
PATCHES = "patches"  # among the images: the last layer's tokens of view `image`, [N, rows, columns, width]
ATTRIBUTES, SHORT_QUERIES, LAYOUT, SWAPPED_CAPTIONS = "attributes", "short_queries", "layout", "swapped_captions"
SS_HIDDEN = 128
NO_CONTRAST = -1e4  # as a logit or a cosine: a softmax gives it nothing


@dataclass(frozen=True, slots=True)
class Features:
    """Unit vectors [N, D] of each view of the images and texts, and the scale of their cosines.

    `raw_images` and `raw_texts` are the same vectors at the lengths that the towers gave them.
    """

    images: Mapping[str, Tensor]
    texts: Mapping[str, Tensor]
    logit_scale: Tensor
    raw_images: Mapping[str, Tensor] = field(default_factory=dict)
    raw_texts: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, images: Mapping[str, Tensor], texts: Mapping[str, Tensor], logit_scale: Tensor) -> Self:
        """From the vectors that the towers give."""
        return cls(_unit(images), _unit(texts), logit_scale, images, texts)

    def cosines(self) -> Tensor:
        """Similarities [N, N] of the images (rows) with the texts (columns)."""
        return self.images[IMAGE] @ self.texts[TEXT].T

    def logits(self, image: str = IMAGE, text: str = TEXT) -> Tensor:
        """Scaled similarities [N, N] of one image view (rows) with one text view (columns)."""
        return self.logit_scale * self.images[image] @ self.texts[text].T

    def prefix(self, length: int) -> "Features":
        """The first `length` dimensions of every vector, normalised again."""
        images = {view: value[:, :length] for view, value in self.images.items()}
        texts = {view: value[:, :length] for view, value in self.texts.items()}
        return Features(_unit(images), _unit(texts), self.logit_scale)

    def rows(self, rows: slice) -> "Features":
        """The features of some pairs."""
        sides = (self.images, self.texts, self.raw_images, self.raw_texts)
        images, texts, *raw = ({view: value[rows] for view, value in side.items()} for side in sides)
        return Features(images, texts, self.logit_scale, *raw)


@dataclass(frozen=True, slots=True)
class Labels:
    """Person ids of the global batch, α of the soft labels, the trust in each pair (None: full trust in all), the
    facts that are known of it, and which pairs have a wrong caption or a rejected image.
    """

    person_ids_N: Tensor
    alpha: float
    trust_N: Tensor | None = None
    facts: BatchFacts | None = None
    swapped_N: Tensor | None = None
    rejected_N: Tensor | None = None

    @property
    def targets(self) -> Tensor:
        """q̂ [N, N], the normalised labels of pairs of the same person."""
        return identity_targets(self.person_ids_N)

    @property
    def known(self) -> BatchFacts:
        """The facts, for a loss that needs them."""
        assert self.facts is not None
        return self.facts

    @property
    def ambiguous(self) -> Tensor | None:
        """Where [N, N] a caption (column) fits the near twin in an image (row) as well: nobody's negative.

        None where no facts are known.
        """
        return None if self.facts is None else self.facts.ambiguous(self.person_ids_N)

    def contrasted(self, logits_NN: Tensor) -> Tensor:
        """Cosines or logits without the ambiguous pairs."""
        ambiguous_NN = self.ambiguous
        return logits_NN if ambiguous_NN is None else logits_NN.masked_fill(ambiguous_NN, NO_CONTRAST)

    def rows(self, rows: slice) -> "Labels":
        """The labels of some pairs."""
        optional = (self.trust_N, self.swapped_N, self.rejected_N)
        trust_N, swapped_N, rejected_N = (None if of is None else of[rows] for of in optional)
        facts = None if self.facts is None else self.facts.rows(rows)
        return Labels(self.person_ids_N[rows], self.alpha, trust_N, facts, swapped_N, rejected_N)


@dataclass(frozen=True, slots=True)
class Loss:
    """One named loss: its function, the views that it reads, the sides that it projects first, and the function whose
    keyword numbers `objective.settings` can change.
    """

    value: Callable[..., Tensor]
    images: tuple[str, ...] = (IMAGE,)
    texts: tuple[str, ...] = (TEXT,)
    heads: tuple[str, ...] = ()
    of: Callable[..., Tensor] | None = None

    @property
    def numbers(self) -> list[str]:
        """Names of the loss's own numbers."""
        taken = signature(self.of).parameters.values() if self.of else ()
        return [each.name for each in taken if each.kind is each.KEYWORD_ONLY and each.annotation is float]


def _n_itc(image: str, text: str) -> Callable[[Features, Labels, nn.ModuleDict], Tensor]:
    return lambda f, y, _: n_itc(y.contrasted(f.logits(image, text)), y.targets, alpha=y.alpha, weights_N=y.trust_N)


def _swapped_captions(f: Features, y: Labels, _: nn.ModuleDict) -> Tensor:
    assert y.swapped_N is not None
    image_ND, text_ND, wrong_ND = f.images[IMAGE], f.texts[TEXT], f.texts[SWAPPED]
    return swapped_captions(image_ND, text_ND, wrong_ND, y.swapped_N, f.logit_scale, weights_N=y.trust_N)


def _rejected_images(f: Features, y: Labels, _: nn.ModuleDict) -> Tensor:
    assert y.rejected_N is not None
    # The same loss with the sides exchanged: a caption prefers its own image.
    text_ND, image_ND, wrong_ND = f.texts[TEXT], f.images[IMAGE], f.images[REJECTED]
    return swapped_captions(text_ND, image_ND, wrong_ND, y.rejected_N, f.logit_scale, weights_N=y.trust_N)


def _self_supervised(*sides: str) -> Callable[[Features, Labels, nn.ModuleDict], Tensor]:
    def value(f: Features, _: Labels, heads: nn.ModuleDict, **given: float) -> Tensor:
        # Raw, as in the authors' code: a head of unit vectors gets a fraction of the gradient.
        views = {"image": (f.raw_images, SIMCLR_1, SIMCLR_2), "text": (f.raw_texts, TEXT, TEXT_2)}
        parts = [
            nt_xent(heads[side](of[first]), heads[side](of[second]), **given)
            for side, (of, first, second) in ((side, views[side]) for side in sides)
        ]
        return torch.stack(parts).mean()

    return value


SIMCLR = (SIMCLR_1, SIMCLR_2)
LOSSES: dict[str, Loss] = {
    "n_itc": Loss(_n_itc(IMAGE, TEXT)),
    "mvs_i": Loss(_n_itc(IMAGE_2, TEXT), images=(IMAGE_2,)),
    "mvs_t": Loss(_n_itc(IMAGE, TEXT_2), texts=(TEXT_2,)),
    "mvs_it": Loss(_n_itc(IMAGE_2, TEXT_2), images=(IMAGE_2,), texts=(TEXT_2,)),
    "r_itc": Loss(lambda f, y, _: r_itc(y.contrasted(f.logits()), y.targets, weights_N=y.trust_N)),
    "c_itc": Loss(
        lambda f, y, _, **given: c_itc(f.images[IMAGE], f.texts[TEXT], ambiguous_NN=y.ambiguous, **given), of=c_itc
    ),
    "ss_i": Loss(_self_supervised("image"), images=SIMCLR, texts=(), heads=("image",), of=nt_xent),
    "ss_t": Loss(_self_supervised("text"), images=(), texts=(TEXT, TEXT_2), heads=("text",), of=nt_xent),
    "ss_it": Loss(
        _self_supervised("image", "text"), images=SIMCLR, texts=(TEXT, TEXT_2), heads=("image", "text"), of=nt_xent
    ),
    "sdm": Loss(
        lambda f, y, _, **given: sdm(y.contrasted(f.cosines()), y.targets, weights_N=y.trust_N, **given), of=sdm
    ),
    "info_nce": Loss(
        lambda f, y, _, **given: info_nce(y.contrasted(f.cosines()), weights_N=y.trust_N, **given), of=info_nce
    ),
    "tal": Loss(
        lambda f, y, _, **given: tal(y.contrasted(f.cosines()), y.person_ids_N, weights_N=y.trust_N, **given), of=tal
    ),
    ATTRIBUTES: Loss(
        lambda f, y, heads: heads[ATTRIBUTES](f.raw_images[IMAGE], y.known.known_NF),
        texts=(),
        heads=(ATTRIBUTES,),
    ),
    SHORT_QUERIES: Loss(
        lambda f, y, heads: query_loss(heads[SHORT_QUERIES](f.images[IMAGE] @ f.texts[QUERY].T), y.known.fitting()),
        texts=(QUERY,),
        heads=(SHORT_QUERIES,),
    ),
    LAYOUT: Loss(
        lambda f, y, heads: heads[LAYOUT](f.raw_images[PATCHES], y.known.layout_NC), texts=(), heads=(LAYOUT,)
    ),
    SWAPPED_CAPTIONS: Loss(_swapped_captions, texts=(TEXT, SWAPPED)),
    "rejected_images": Loss(_rejected_images, images=(IMAGE, REJECTED)),
}
LOSSES_OF_FACTS = frozenset({ATTRIBUTES, SHORT_QUERIES, LAYOUT, SWAPPED_CAPTIONS})


class ObjectiveConfig(Config):
    """Named losses, summed by their weights."""

    losses: dict[str, float] = Field(default={"n_itc": 1.0, "r_itc": 1.0}, min_length=1)
    """Weight of each loss by name; a name that is left out is not computed. `attributes` (facts of the image by a
    linear classifier), `short_queries` (each image of the batch against queries of one to three facts) and
    `swapped_captions` (each image prefers its caption to the same with one thing made wrong) learn from the data set's
    attributes or from the words of its captions; `layout` (which part of a person each patch shows) from its attribute
    `layout`; `rejected_images` (each caption prefers its image to one that people rejected for it) from `rejected_for`,
    which `personsearch feedback export` writes.
    """

    settings: dict[str, dict[str, float]] = Field(default={})
    """A loss's own numbers by its name, such as {tal: {margin: 0.2}}."""

    soft_label_alpha: float = Field(default=0.5, ge=0, lt=1)
    """Share of the model's own prediction in the soft labels, in [0, 1); 0 for hard labels."""

    soft_label_ramp_epochs: float = Field(default=1.0, ge=0)
    """Epochs in which that share rises linearly from 0."""

    swapped_share: float = Field(default=0.25, gt=0, le=1)
    """Share of the pairs that get a wrong caption in a step, for the loss `swapped_captions`. Each costs another pass
    of the text tower. Pairs whose caption names nothing that can be made wrong get none.
    """

    contrast_among: int | None = Field(default=None, ge=2)
    """Let only this many pairs of the batch compete, as on devices that do not share their features; null for all
    (TBPS-CLIP's global gradient).
    """

    matryoshka: tuple[PositiveInt, ...] = ()
    """Lengths at which an embedding may be cut: each loss is the mean over the whole length and these (Kusupati et al.,
    NeurIPS 2022, equation 1). A loss with a projection head reads the whole embedding alone.
    """

    @field_validator("losses")
    @classmethod
    def _known(cls, losses: dict[str, float]) -> dict[str, float]:
        for name, weight in losses.items():
            if name not in LOSSES:
                raise ValueError(f"{name!r} is not a loss; {nearest(name, LOSSES)}")
            if weight < 0:
                raise ValueError(f"{name}={weight:g}: a weight of 0 or more expected")
        return losses

    @model_validator(mode="after")
    def _settings_fit(self) -> "ObjectiveConfig":
        for name, numbers in self.settings.items():
            if name not in self.losses:
                raise ValueError(f"settings.{name}: not among the losses ({', '.join(self.losses)})")
            for number, value in numbers.items():
                if number not in LOSSES[name].numbers:
                    known = nearest(number, LOSSES[name].numbers) if LOSSES[name].numbers else "it has no numbers"
                    raise ValueError(f"settings.{name}.{number}: unknown; {known}")
                if number == "temperature" and value <= 0:
                    raise ValueError(f"settings.{name}.temperature={value:g}: a number above 0 expected")
        return self

    @property
    def image_views(self) -> tuple[str, ...]:
        """Views of the image that a step encodes, in a fixed order."""
        return _views(self.losses, "images", (IMAGE, IMAGE_2, SIMCLR_1, SIMCLR_2, REJECTED))

    @property
    def text_views(self) -> tuple[str, ...]:
        """Views of the text that a step encodes, in a fixed order."""
        return _views(self.losses, "texts", (TEXT, TEXT_2, QUERY, SWAPPED))

    @property
    def reads_patches(self) -> bool:
        """Whether a loss reads the tokens of the image's patches."""
        return LAYOUT in self.losses

    def alpha(self, epoch: float) -> float:
        """α at a fractional epoch."""
        if self.soft_label_ramp_epochs == 0:
            return self.soft_label_alpha
        return self.soft_label_alpha * min(1.0, epoch / self.soft_label_ramp_epochs)


class Objective(nn.Module):
    """The weighted sum of named losses, with the projection heads of the self-supervised ones."""

    def __init__(
        self, config: ObjectiveConfig, embedding_dim: int, patch_shape: tuple[int, int, int] | None = None
    ) -> None:
        super().__init__()
        if any(length >= embedding_dim for length in config.matryoshka):
            raise UserError(f"objective.matryoshka: {list(config.matryoshka)}; expected lengths below {embedding_dim}")
        self.config = config
        sides = sorted({side for name in config.losses for side in LOSSES[name].heads})
        self.heads = nn.ModuleDict({side: _head(side, embedding_dim, patch_shape) for side in sides})

    def forward(self, features: Features, labels: Labels) -> dict[str, Tensor]:
        """Each loss by name, unweighted, and their weighted sum as `loss`."""
        pairs = len(labels.person_ids_N)
        size = self.config.contrast_among or pairs
        # Without `contrast_among` there is one block, and every pair competes with the whole global batch.
        blocks = [slice(start, start + size) for start in range(0, pairs, size)]
        parts = [self._values(features.rows(block), labels.rows(block)) for block in blocks]
        values = {name: torch.stack([part[name] for part in parts]).mean() for name in self.config.losses}
        total = torch.stack([weight * values[name] for name, weight in self.config.losses.items()]).sum()
        return {TOTAL: total, **values}

    def _values(self, features: Features, labels: Labels) -> dict[str, Tensor]:
        lengths = [features, *(features.prefix(length) for length in self.config.matryoshka)]
        return {name: self._value(name, lengths, labels) for name in self.config.losses}

    def _value(self, name: str, lengths: Sequence[Features], labels: Labels) -> Tensor:
        """The mean over the lengths at which the loss is defined."""
        loss, given = LOSSES[name], self.config.settings.get(name, {})
        read = lengths[:1] if loss.heads else lengths  # a projection head takes whole embeddings only
        return torch.stack([loss.value(features, labels, self.heads, **given) for features in read]).mean()


def _unit(views: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {view: normalize(value, dim=-1) for view, value in views.items() if view != PATCHES}


def _head(name: str, embedding_dim: int, patch_shape: tuple[int, int, int] | None) -> nn.Module:
    if name == LAYOUT:
        if patch_shape is None:
            raise UserError("losses.layout: expected open_clip's Vision Transformer, without an adaptation")
        rows, columns, width = patch_shape
        return LayoutHead(width, (rows, columns), LAYOUT_GRID, len(PARTS))
    if name == ATTRIBUTES:
        return FactHead(embedding_dim)
    return QueryLogits() if name == SHORT_QUERIES else _projection_head(embedding_dim)


class FactHead(nn.Module):
    """A linear classifier of every fact, and its loss."""

    kinds_FK: Tensor

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding_dim, len(FACTS))
        self.register_buffer("kinds_FK", kinds_of_facts([fact.kind for fact in FACTS]), persistent=False)

    def forward(self, images_ND: Tensor, known_NF: Tensor) -> Tensor:
        """The loss of image features of any length."""
        return fact_loss(self.linear(images_ND), known_NF, self.kinds_FK)


class QueryLogits(nn.Module):
    """The scale and the bias that turn cosines into logits of a sigmoid (SigLIP starts at 10 and −10; most pairs of its
    batches are wrong, while here each side has half the weight).
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, cosines: Tensor) -> Tensor:
        """Of the same shape."""
        return self.log_scale.exp() * cosines + self.bias


def _projection_head(embedding_dim: int) -> nn.Sequential:
    """SimCLR's projection head at TBPS-CLIP's size: D → 128 → D."""
    return nn.Sequential(nn.Linear(embedding_dim, SS_HIDDEN), nn.ReLU(), nn.Linear(SS_HIDDEN, embedding_dim))


def _views(losses: Mapping[str, Any], side: str, order: tuple[str, ...]) -> tuple[str, ...]:
    read = {view for name in losses for view in getattr(LOSSES[name], side)}
    return tuple(view for view in order if view in read)
