"""The text tower of CTLG: transformers' BERT, its pooled first token.

Shapes: N texts, G texts of a group, L tokens, M tokens of a group's longest text, T tokens of all groups, C channels,
H heads, E channels of a head.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from personsearch.config import Config, describe_validation_error
from personsearch.errors import UserError, explain
from personsearch.models.composed_attention import attention
from personsearch.models.encoder import TextGroup, in_one_row
from personsearch.models.mixing import Mixing
from personsearch.models.pretrained import CONFIG
from personsearch.models.weights import State, check_shapes

PADDING = 0
ATTENTION = "personsearch"  # its name in transformers' register


class BertSettings(Config):
    """BERT-base (uncased) by default, in the names of its own config.json."""

    context_length: int = Field(default=64, ge=4)
    """Tokens at which a caption is cut."""

    vocab_size: int = Field(default=30522, ge=1)
    """Tokens of the vocabulary."""

    hidden_size: int = Field(default=768, ge=1)
    """Width of the tower."""

    num_hidden_layers: int = Field(default=12, ge=1)
    """Layers."""

    num_attention_heads: int = Field(default=12, ge=1)
    """Attention heads per layer; must divide `hidden_size`."""

    intermediate_size: int = Field(default=3072, ge=1)
    """Width of the feed-forward layers."""

    hidden_act: str = "gelu"
    """Activation of the feed-forward layers."""

    hidden_dropout_prob: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of hidden states while training."""

    attention_probs_dropout_prob: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of attention while training."""

    max_position_embeddings: int = Field(default=512, ge=4)
    """Positions of the position embedding; at least `context_length`."""

    type_vocab_size: int = Field(default=2, ge=1)
    """Segment types; captions use the first."""

    layer_norm_eps: float = Field(default=1e-12, gt=0)
    """Added to the variance in layer normalisation."""

    @model_validator(mode="after")
    def _fits(self) -> "BertSettings":
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of {self.num_attention_heads} heads")
        if self.context_length > self.max_position_embeddings:
            raise ValueError(f"context_length {self.context_length}: it has {self.max_position_embeddings} positions")
        return self


class Bert(nn.Module):
    """transformers' BertModel, its layers called one by one so that the first one's output can be mixed."""

    def __init__(self, settings: BertSettings) -> None:
        super().__init__()
        from transformers import AttentionInterface, BertConfig, BertModel

        # transformers finds an attention by its name, so ours must be registered before the model is built.
        AttentionInterface.register(ATTENTION, _attend)
        values = settings.model_dump(exclude={"context_length"})
        try:
            self.bert = BertModel(BertConfig(**values, pad_token_id=PADDING, attn_implementation=ATTENTION))
        except (KeyError, ValueError) as error:
            raise UserError(f"model.architecture.text_cfg: transformers cannot build it: {error}") from error

    def forward(self, ids_NL: Tensor, mixing: Mixing | None = None) -> Tensor:
        """Pooler output [N, C]; padding is masked. `mixing` blends rows of the first layer's output.

        Where one text of a blend has ended, its position holds the other text's share alone.
        """
        present_NL = ids_NL != PADDING
        x_NLC = self.bert.embeddings(ids_NL)
        for index, layer in enumerate(self.bert.encoder.layer):
            seen_N1LL = present_NL[:, None, None, :].expand(
                -1, -1, ids_NL.shape[1], -1
            )  # ONNX needs a row for every query
            x_NLC = layer(x_NLC, seen_N1LL)
            if index == 0 and mixing is not None:
                x_NLC = mixing.blend(x_NLC * present_NL[:, :, None])
                present_NL = mixing.present(present_NL)
        pooled_NC: Tensor = self.bert.pooler(x_NLC)
        return pooled_NC

    def forward_groups(self, ids_NL: Tensor, groups: Sequence[TextGroup]) -> Tensor:
        """Pooler output [N, C], one group after the other.

        Layers that treat tokens one by one run on those of all groups at once, as in `ragged_text`.
        """
        cut, ids_T, positions_T = in_one_row(ids_NL, groups)
        seen = [(ids_GM != PADDING)[:, None, None, :] for ids_GM in cut]
        x_1TC = self.bert.embeddings(ids_T[None], position_ids=positions_T[None])
        for layer in self.bert.encoder.layer:
            x_1TC = layer(x_1TC, seen)
        pooled_NC: Tensor = self.bert.pooler(x_1TC[0, positions_T == 0, None])
        return pooled_NC

    def set_attention_dropout(self, probability: float) -> None:
        for layer in self.bert.encoder.layer:
            layer.attention.self.dropout.p = probability

    def load_pretrained(self, folder: Path) -> None:
        """Load the weights of a BERT folder.

        Raises:
            UserError: they cannot be read, lack a part of BERT such as the pooler, or are of another size.
        """
        state, missing = _read_weights(folder)
        if missing:
            raise UserError(f"text weights {folder}: {len(missing)} tensors are missing: {', '.join(missing[:3])}")
        check_shapes(state, self.bert.state_dict(), str(folder))
        self.bert.load_state_dict(state)


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, seen: Tensor | list[Tensor], **given: Any
) -> tuple[Tensor, None]:
    """The function that transformers calls: from query, key and value [N, H, L, E] to [N, L, H, E].

    `seen` says which keys count, for each query [N, 1, L, L]; or for each group of texts, whose tokens then stand one
    after the other in one item, [G, 1, 1, M].
    """
    if isinstance(seen, Tensor):
        attended = attention(query, key, value, seen, dropout=given["dropout"], training=module.training)
        return attended.transpose(1, 2), None
    sizes = [seen_G11M.shape[0] * seen_G11M.shape[-1] for seen_G11M in seen]
    in_groups = (torch.split(part[0], sizes, dim=1) for part in (query, key, value))
    parts = []
    for *of_group, seen_G11M in zip(*in_groups, seen, strict=True):
        query, key, value = (torch.unflatten(part, 1, (len(seen_G11M), -1)).transpose(0, 1) for part in of_group)
        attended_GHME = attention(query, key, value, seen_G11M, dropout=given["dropout"], training=module.training)
        parts.append(attended_GHME.transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[None], None


def _read_weights(folder: Path) -> tuple[State, list[str]]:
    """A BERT folder's state without the heads of its pretraining, and the names of tensors that it lacks."""
    from transformers import BertModel

    try:
        with _quiet_transformers():
            model, report = BertModel.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
    except Exception as error:  # of many kinds: missing, damaged, pickled with code, another size than config.json
        raise UserError(f"text weights {folder}: cannot be read: {str(error).splitlines()[0]}") from error
    return model.state_dict(), sorted(report["missing_keys"])


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence progress bars, and the long table of pretraining heads that are left out on purpose."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def read_settings(folder: Path, context_length: int | None = None) -> dict[str, Any]:
    """The settings of a BERT folder's config.json, with texts cut to `context_length` (the paper's 64 by default).

    Raises:
        UserError: it is not JSON, not a BERT, or one that this tower does not compute.
    """
    path = folder / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {explain(error)}; the settings of a BERT expected") from error
    except ValueError as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from error
    fixed = {"model_type": "bert", "pad_token_id": PADDING, "position_embedding_type": "absolute", "is_decoder": False}
    for key, value in fixed.items():
        if values.get(key, value) != value:
            raise UserError(f"{path}: {key} is {values[key]!r}, expected {value!r}")
    known = {key: values[key] for key in BertSettings.model_fields if key in values}
    if context_length is not None:
        known["context_length"] = context_length
    try:
        return BertSettings(**known).model_dump()
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error, BertSettings)}") from error
