"""What training, export and serving ask of any dual encoder.

Shapes: N items, G items of a group, H height, W width, L tokens, M tokens of a group's longest text, T tokens of all
groups, D embedding dimension.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from personsearch.errors import UserError
from personsearch.models.architecture import Architecture, Side
from personsearch.models.mixing import Mixing

MAX_LOGIT_SCALE = 100.0
TEXT_GROUPS = 8


@dataclass(frozen=True, slots=True)
class TextGroup:
    """Texts of similar length: their places in the batch [G], and the tokens to which all of them are cut."""

    rows_G: Tensor
    length: int


class PersonEncoder(nn.Module, ABC):
    """Turns images and texts into unit vectors of one space. `architecture` is what it can be built from again."""

    architecture: Architecture
    context_length: int
    embedding_dim: int

    @abstractmethod
    def image_features(self, pixels_N3HW: Tensor) -> Tensor:
        """Float32 features [N, D] of standardised pixels, of any length: what the tower gives."""

    @abstractmethod
    def text_features(self, ids_NL: Tensor) -> Tensor:
        """Float32 features [N, D], of any length. Padding changes nothing: L may be any that holds every text's end."""

    def encode_image(self, pixels_N3HW: Tensor) -> Tensor:
        """Unit float32 vectors [N, D] of standardised pixels."""
        return normalize(self.image_features(pixels_N3HW), dim=-1)

    def encode_text(self, ids_NL: Tensor) -> Tensor:
        """Unit float32 vectors [N, D] of texts, padded or not."""
        return normalize(self.text_features(ids_NL), dim=-1)

    @abstractmethod
    def named_weights(self) -> dict[str, Tensor]:
        """Every weight under the name that it has in a bundle."""

    @abstractmethod
    def load_named_weights(self, state: Mapping[str, Tensor]) -> None:
        """Put `named_weights` back; names and shapes fit."""

    def named_parts(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Every parameter under its name in a bundle."""
        places = {id(value): name for name, value in self.named_weights().items()}
        return [(places.get(id(parameter), name), parameter) for name, parameter in self.named_parameters()]

    def mixed_features(self, pixels_N3HW: Tensor, ids_NL: Tensor, mixing: Mixing) -> tuple[Tensor, Tensor]:
        """Features [N, D] of images and of texts that are mixed after the first block of each tower.

        Raises:
            UserError: the towers cannot be mixed there.
        """
        raise UserError(f"mixup.level features: expected a dual transformer, not {type(self).__name__}")

    def encode_text_by_length(self, ids_NL: Tensor) -> Tensor:
        """`encode_text` in groups of similar length: the same vectors for less work."""
        return normalize(self.text_features_by_length(ids_NL), dim=-1)

    def text_features_by_length(self, ids_NL: Tensor) -> Tensor:
        """`text_features` in groups of similar length, each cut to its longest.

        On a GPU, where small batches waste more than padding does, it is one group.
        """
        if ids_NL.device.type != "cpu" or len(ids_NL) < 2 * TEXT_GROUPS:
            return self.text_features(ids_NL)
        groups = groups_by_length(ids_NL)
        order_N = torch.cat([group.rows_G for group in groups])
        return self.text_features_in_groups(ids_NL, groups)[order_N.argsort()]

    def text_features_in_groups(self, ids_NL: Tensor, groups: Sequence[TextGroup]) -> Tensor:
        """Features [N, D] of all texts, one group after the other."""
        return torch.cat([self.text_features(ids_NL[group.rows_G, : group.length]) for group in groups])

    @property
    def patch_shape(self) -> tuple[int, int, int] | None:
        """Rows, columns and width of the tokens of an image's patches; None where they cannot be read."""
        return None

    def image_features_and_patches(self, pixels_N3HW: Tensor) -> tuple[Tensor, Tensor]:
        """`image_features`, and the last layer's tokens of the patches [N, rows, columns, width].

        Raises:
            UserError: the image tower does not give them.
        """
        raise UserError(f"losses.layout: expected open_clip's Vision Transformer, not {type(self).__name__}")

    @property
    def crosses(self) -> frozenset[Side]:
        """Towers that a gradient passes back through to reach an adaptation's modules."""
        return frozenset()

    @property
    def extra_image_tokens(self) -> int:
        """What the image tower's attention sees beside class token and patches."""
        return 0

    @property
    def token_embedding_name(self) -> str | None:
        """Name in a bundle of the weight with a row for each token; None where no row can be left out."""
        return None

    @torch.no_grad()
    def project(self, basis_DR: Tensor) -> Self:
        """A model whose features are those of this one times `basis_DR`, before they are normalised.

        Raises:
            UserError: a tower does not end in a matrix that could be multiplied.
        """
        state = {name: value.detach() for name, value in self.named_weights().items()}
        projections = self._projections(state, basis_DR)
        projected = type(self)(self.architecture.with_values(embed_dim=basis_DR.shape[1]))
        projected.load_named_weights(state | projections)
        return projected.eval()

    def _projections(self, state: Mapping[str, Tensor], basis_DR: Tensor) -> dict[str, Tensor]:
        """The last matrix of each tower, by name, times the basis."""
        raise UserError(f"embedding: {type(self).__name__} cannot be reduced")

    def merge_adaptation(self) -> None:
        """Turn what an adaptation computes from weights alone into weights; the rest of it stays."""

    @abstractmethod
    def logit_scale(self) -> Tensor:
        """The factor of similarities in the losses."""

    def set_logit_scale(self, factor: float) -> None:
        """Set the factor's initial value; without effect where it is fixed."""

    def set_text_attention_dropout(self, probability: float) -> None:
        """Dropout on attention weights of the text transformer (TBPS-CLIP, training trick 2)."""
        if probability:
            raise UserError(
                f"model.text_attention_dropout: {type(self).__name__} takes none; expected 0, not {probability}"
            )

    def freeze(self, prefixes: Iterable[str]) -> None:
        """Exclude from training every parameter whose name in a bundle starts with one of `prefixes`.

        Raises:
            UserError: a prefix matches no parameter.
        """
        parameters = self.named_parts()
        for prefix in prefixes:
            chosen = [parameter for name, parameter in parameters if name.startswith(prefix)]
            if not chosen:
                raise UserError(f"model.frozen: {prefix!r} matches no parameter of this model")
            for parameter in chosen:
                parameter.requires_grad_(False)

    def trained_names(self) -> set[str]:
        """Names in a bundle of the parameters that training changes."""
        return {name for name, parameter in self.named_parts() if parameter.requires_grad}


def groups_by_length(ids_NL: Tensor) -> list[TextGroup]:
    """Up to `TEXT_GROUPS` of nearly equal size, from the shortest texts to the longest."""
    # Stable, so that ties keep the batch's order and the same batch always makes the same groups.
    lengths_N, order_N = text_lengths(ids_NL).sort(stable=True)
    parts = zip(order_N.chunk(TEXT_GROUPS), lengths_N.chunk(TEXT_GROUPS), strict=True)
    return [TextGroup(rows_G, int(lengths_G[-1])) for rows_G, lengths_G in parts]


def in_one_row(ids_NL: Tensor, groups: Sequence[TextGroup]) -> tuple[list[Tensor], Tensor, Tensor]:
    """Each group's ids [G, M], all of them one after the other [T], and the positions of those in their texts [T]."""
    cut = [ids_NL[group.rows_G, : group.length] for group in groups]
    positions = [torch.arange(ids_GM.shape[1], device=ids_GM.device).repeat(len(ids_GM)) for ids_GM in cut]
    return cut, torch.cat([ids_GM.flatten() for ids_GM in cut]), torch.cat(positions)


def text_lengths(ids_NL: Tensor) -> Tensor:
    """Tokens of each text [N], its end included: padding is 0, and no text ends with token 0."""
    return ids_NL.shape[1] - (ids_NL.flip(1) != 0).int().argmax(dim=1)
