"""From a recipe's model section, or a bundle, to a dual encoder with its tokenizer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from personsearch.bundle import TOKENIZER, Bundle, Preprocessing, TextCleaning
from personsearch.errors import UserError
from personsearch.files import replacing
from personsearch.models.architecture import CLIP, DUAL_TRANSFORMER, QUICK_GELU, Activation, Architecture
from personsearch.models.clip import ADAPTATION, DualEncoder
from personsearch.models.config import MEAN_STD, RANDOM, ModelConfig
from personsearch.models.dual_transformer import DualTransformer, complete_architecture
from personsearch.models.encoder import PersonEncoder
from personsearch.models.layers import frozen_prefixes, weights_without_layers, without_layers
from personsearch.models.vocabulary import clip_tokenizer, learn_tokenizer, padding_token, read_tokenizer
from personsearch.models.weights import Weights, bundle_weights, fit, load_weights
from personsearch.models.wordpiece import wordpiece_tokenizer
from personsearch.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class BuiltModel:
    model: PersonEncoder
    tokenizer: Tokenizer
    preprocessing: Preprocessing


def build_model(config: ModelConfig, captions: Callable[[], Iterable[str]], tokenizer_file: Path) -> BuiltModel:
    """Build the model that a recipe asks for; its tokenizer is written to `tokenizer_file` unless it is there.

    Raises:
        UserError: the architecture is unknown, or weights are missing or do not fit.
    """
    name = config.architecture if isinstance(config.architecture, str) else None
    weights = None if config.weights == RANDOM else load_weights(config.weights, name)
    architecture = resolve_architecture(config, weights)
    _provide_tokenizer(config, weights, architecture, captions, tokenizer_file)
    if architecture.is_foreign and "pad_id" not in architecture.section("text"):
        architecture = architecture.with_section("text", pad_id=padding_token(tokenizer_file))
    if weights is None and config.text_weights is None:
        architecture = architecture.with_section("text", vocab_size=Tokenizer(tokenizer_file, 2).vocab_size)
    model = create_model(architecture)
    if weights is not None:
        state = weights_without_layers(weights.state, text=config.drop_text_layers, image=config.drop_image_layers)
        _load(model, replace(weights, state=state))
    elif isinstance(model, DualTransformer):
        model.load_pretrained(config.image_weights, config.text_weights)
    if config.initial_logit_scale is not None:
        model.set_logit_scale(config.initial_logit_scale)
    model.set_text_attention_dropout(config.text_attention_dropout)
    model.freeze(frozen_prefixes(config, architecture))
    tokenizer = Tokenizer(tokenizer_file, model.context_length, _text_cleaning(config, weights, architecture))
    return BuiltModel(model, tokenizer, _preprocessing(config, weights))


def create_model(architecture: Architecture) -> PersonEncoder:
    """The untrained encoder of an architecture.

    Raises:
        UserError: no such kind, or the configuration does not make one.
    """
    if architecture.kind == CLIP:
        return DualEncoder(architecture)
    if architecture.kind == DUAL_TRANSFORMER:
        return DualTransformer(architecture)
    raise UserError(f"model.architecture.kind: {architecture.kind!r} is unknown; known: {CLIP}, {DUAL_TRANSFORMER}")


def load_bundle_model(bundle: Bundle) -> BuiltModel:
    """The model of a bundle's torch variant, in evaluation mode, computing in float32."""
    model = create_model(Architecture(bundle.spec.architecture))
    _load(model, bundle_weights(bundle))
    return BuiltModel(model.eval(), bundle.tokenizer, bundle.spec.preprocessing)


def _load(model: PersonEncoder, weights: Weights) -> None:
    """Load weights into the model; an adaptation that they lack keeps its initial values."""
    if isinstance(model, DualEncoder) and not model.foreign_text:
        # Files of open_clip's custom text models put the text tower under `text.`; CLIP's own has no prefix.
        plain = {name.removeprefix("text."): value for name, value in weights.state.items()}
        weights = replace(weights, state=plain)
    named = {name: value.detach() for name, value in model.named_weights().items()}
    fresh = {name: value for name, value in named.items() if name.startswith(ADAPTATION) and name not in weights.state}
    visual = (model.clip if isinstance(model, DualEncoder) else model).visual
    expected = {name: value for name, value in named.items() if name not in fresh}
    model.load_named_weights(fit(weights, expected, getattr(visual, "grid_size", None)) | fresh)


def resolve_architecture(config: ModelConfig, weights: Weights | None) -> Architecture:
    """The architecture that the bundle will hold: the recipe's, at its image size and with its adaptation."""
    given: str | Mapping[str, Any] | None = config.architecture
    if given is None and weights is not None:
        given = weights.architecture
    if given is None:
        raise UserError("model.architecture: missing; only weights from a bundle bring their own")
    whole = _named(given) if isinstance(given, str) else Architecture(given)
    architecture = without_layers(whole, text=config.drop_text_layers, image=config.drop_image_layers)
    if config.adaptation is not None:
        architecture = architecture.with_values(adaptation=config.adaptation)
    if architecture.kind == DUAL_TRANSFORMER:
        return complete_architecture(
            architecture,
            image_size=config.image_size,
            context_length=config.context_length,
            text_weights=config.text_weights,
        )
    absent = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in architecture]
    if absent:
        raise UserError(f"model.architecture: {', '.join(absent)} missing")
    if _activation(config, weights, architecture) == QUICK_GELU:
        architecture = architecture.with_values(quick_gelu=True)
    architecture = architecture.with_section("image", image_size=config.image_size)
    if config.context_length is not None:
        architecture = architecture.with_section("text", context_length=config.context_length)
    return architecture


def _activation(config: ModelConfig, weights: Weights | None, architecture: Architecture) -> Activation | None:
    """The activation that weights, recipe and architecture agree on; None for random weights where none is said.

    Raises:
        UserError: two of them differ, or weights were read and none says it.
    """
    said: dict[str, Activation | None] = {
        "model.activation": config.activation,
        f"weights {config.weights}": weights.activation if weights is not None else None,
        "model.architecture": architecture.activation,
    }
    known = {place: activation for place, activation in said.items() if activation is not None}
    if len(set(known.values())) > 1:
        different = "; ".join(f"{place}: {activation}" for place, activation in known.items())
        raise UserError(f"activation: {different}; they must agree")
    if not known and weights is not None and weights.state:
        raise UserError(
            f"weights {config.weights}: the file does not say its activation; set model.activation to quick_gelu"
            " (OpenAI's CLIP, MetaCLIP, DFN and what was trained from them) or gelu (LAION, DataComp and most others)"
        )
    return next(iter(known.values()), None)


def _named(name: str) -> Architecture:
    import open_clip

    found = open_clip.get_model_config(name)
    if found is None:
        close = [known for known in open_clip.list_models() if known.lower().startswith(name.lower()[:5])]
        raise UserError(f"model.architecture: open_clip has no {name!r}; near it: {', '.join(close[:6]) or 'nothing'}")
    return Architecture(found)


def _preprocessing(config: ModelConfig, weights: Weights | None) -> Preprocessing:
    height, width = config.image_size
    if weights is not None and weights.bundle is not None:
        return weights.bundle.spec.preprocessing.model_copy(update={"height": height, "width": width})
    mean, std = MEAN_STD[config.normalisation]
    return Preprocessing(height=height, width=width, mean=mean, std=std, interpolation=config.interpolation)


def _text_cleaning(config: ModelConfig, weights: Weights | None, architecture: Architecture) -> TextCleaning:
    if weights is not None and weights.bundle is not None:
        cleaning = weights.bundle.spec.text_cleaning
    else:
        cleaning = TextCleaning(ftfy=_has_clip_tokenizer(config, architecture))
    return cleaning.overridden({"pre_caption": config.pre_caption})


def _has_clip_tokenizer(config: ModelConfig, architecture: Architecture) -> bool:
    own = architecture.kind == DUAL_TRANSFORMER or "hf_tokenizer_name" in architecture.section("text")
    return config.vocabulary == "clip" and not own


def _provide_tokenizer(
    config: ModelConfig,
    weights: Weights | None,
    architecture: Architecture,
    captions: Callable[[], Iterable[str]],
    target: Path,
) -> None:
    if target.is_file():
        return
    if weights is not None and weights.bundle is not None:
        content = weights.bundle.path(TOKENIZER).read_text(encoding="utf-8")
    elif architecture.kind == DUAL_TRANSFORMER:
        content = wordpiece_tokenizer(config.vocabulary, captions, config.text_weights).to_str()
    elif isinstance(config.vocabulary, int):
        content = learn_tokenizer(captions(), config.vocabulary).to_str()
    elif config.vocabulary != "clip":
        content = read_tokenizer(config.vocabulary).to_str()
    elif "hf_tokenizer_name" in architecture.section("text"):
        content = read_tokenizer(f"hf-hub:{architecture.section('text')['hf_tokenizer_name']}").to_str()
    else:
        content = clip_tokenizer().to_str()
    with replacing(target) as temporary:
        temporary.write_text(content, encoding="utf-8")
