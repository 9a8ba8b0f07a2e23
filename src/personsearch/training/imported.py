"""Turns a checkpoint of a published method's own code into a bundle."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from personsearch.bundle import (
    MODEL_CARD,
    TOKENIZER,
    WEIGHTS,
    Bundle,
    BundleSpec,
    Lineage,
    Preprocessing,
    TextCleaning,
    is_bundle,
)
from personsearch.encoders.golden import write_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.models.authors import RECIPES, Method, Translated, read_authors_checkpoint
from personsearch.models.build import create_model
from personsearch.models.config import MEAN_STD
from personsearch.models.encoder import PersonEncoder
from personsearch.models.vocabulary import clip_tokenizer, read_tokenizer
from personsearch.models.weights import check_shapes
from personsearch.models.wordpiece import bert_tokenizer
from personsearch.progress import announce
from personsearch.run_record import git_commit
from personsearch.training.checkpoint import save_weights

BERT_VOCABULARY = "hf-hub:google-bert/bert-base-uncased"
CARD = """# {method}

A dual encoder for text-based person search, trained by {method}'s own code and imported from `{file}` by
`personsearch import`. It has {parameters:,} parameters and takes images of {height}×{width} pixels.
{left_out}
What it was trained on and how well it does is not in the file: measure it with `personsearch evaluate`.
"""


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """What `import_checkpoint` wrote; `left_out` counts the tensors of each head that only training needs."""

    bundle: Bundle
    parameters: int
    left_out: dict[str, int]


def import_checkpoint(
    checkpoint: Path,
    method: Method,
    out: Path,
    *,
    image_size: tuple[int, int] | None = None,
    vocabulary: str | None = None,
) -> ImportedModel:
    """Write the bundle of a checkpoint that the authors' code wrote; nothing in the file is executed.

    `image_size` is (height, width) where the model was not trained at the published size; `vocabulary` a
    tokenizer.json, its folder or `hf-hub:owner/name` where it is not the published one.

    Raises:
        UserError: the file is no such checkpoint, the vocabulary does not fit, or `out` is a folder of something else.
    """
    if out.exists() and not is_bundle(out) and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is no bundle that could be replaced; give --out a new folder")
    size = image_size or RECIPES[method].image_size
    announce(f"reading {checkpoint} ({checkpoint.stat().st_size / 1e6:,.0f} MB)")
    translated = read_authors_checkpoint(checkpoint, method, size)
    model = create_model(translated.architecture)
    expected = {name: value.detach() for name, value in model.named_weights().items()}
    check_shapes(translated.state, expected, str(checkpoint))
    model.load_named_weights(translated.state)
    tokenizer = _tokenizer(method, vocabulary, translated)
    announce(f"writing {out}")
    with Bundle.writing(out, _spec(model, method, size, checkpoint)) as bundle:
        bundle.path(TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
        save_weights(bundle.path(WEIGHTS), model, torch.float32)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        bundle.path(MODEL_CARD).write_text(_card(bundle, checkpoint, parameters, translated), encoding="utf-8")
        write_golden(bundle, TorchEncoder.from_bundle(bundle, "cpu"))
    return ImportedModel(Bundle.open(out), parameters, dict(translated.left_out))


def _spec(model: PersonEncoder, method: Method, size: tuple[int, int], checkpoint: Path) -> BundleSpec:
    mean, std = MEAN_STD[RECIPES[method].normalisation]
    return BundleSpec(
        method=method,
        architecture=model.architecture.to_dict(),
        preprocessing=Preprocessing(
            height=size[0], width=size[1], mean=mean, std=std, interpolation=RECIPES[method].interpolation
        ),
        text_cleaning=TextCleaning(ftfy=method != "ctlg", pre_caption=RECIPES[method].pre_caption),
        context_length=model.context_length,
        embedding_dim=model.embedding_dim,
        lineage=Lineage(dataset_hash="", git_commit=git_commit(), parent=checkpoint.name),
    )


def _tokenizer(method: Method, vocabulary: str | None, translated: Translated) -> Tokenizer:
    if method == "ctlg":
        tokenizer = _bert_tokenizer(vocabulary or BERT_VOCABULARY)
    else:
        tokenizer = clip_tokenizer() if vocabulary is None else read_tokenizer(vocabulary)
    rows, tokens = translated.architecture.section("text")["vocab_size"], tokenizer.get_vocab_size()
    if rows != tokens:
        raise UserError(
            f"the model has {rows:,} tokens, the vocabulary {tokens:,}; give the model's own by --vocabulary,"
            f" a {TOKENIZER}, its folder or hf-hub:owner/name"
        )
    return tokenizer


def _bert_tokenizer(vocabulary: str) -> Tokenizer:
    if (Path(vocabulary) / "vocab.txt").is_file() and not (Path(vocabulary) / TOKENIZER).is_file():
        return bert_tokenizer(Path(vocabulary))
    try:
        return read_tokenizer(vocabulary)
    except UserError as error:
        raise UserError(
            f"{error}; CTLG's files hold no vocabulary: give --vocabulary BERT's {TOKENIZER} or its folder"
        ) from error


def _card(bundle: Bundle, checkpoint: Path, parameters: int, translated: Translated) -> str:
    spec = bundle.spec
    heads = ", ".join(f"{name} ({count})" for name, count in translated.left_out.items())
    return CARD.format(
        method=spec.method,
        file=checkpoint.name,
        parameters=parameters,
        height=spec.preprocessing.height,
        width=spec.preprocessing.width,
        left_out=f"Left out, with the number of tensors: {heads}.\n" if heads else "",
    )
