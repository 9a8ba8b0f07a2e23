"""Writes the trained model as a bundle, atomically."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from personsearch.bundle import METRICS, MODEL_CARD, TOKENIZER, WEIGHTS, Bundle, BundleSpec, Lineage, is_bundle
from personsearch.data.records import ImageRecord
from personsearch.encoders.golden import write_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.files import write_json
from personsearch.models.build import BuiltModel
from personsearch.run_record import git_commit
from personsearch.training.checkpoint import save_weights
from personsearch.training.config import TrainConfig

CARD = """# {method}

A dual encoder for text-based person search: it maps a description and an image of a person to vectors whose dot
product ranks candidates. Written by `personsearch train`.

| | |
|---|---|
| image size | {height} × {width} |
| context length | {context_length} tokens |
| embedding | {embedding_dim} numbers |
| parameters | {parameters:,} |
| started from | {weights} |
| training images, captions, persons | {images:,}, {captions:,}, {persons:,} |
| data set | {sources} (`{dataset_hash:.16}`) |
| code | `{git_commit}` |
{metrics}
{remarks}
It proposes candidates; a human decides. It identifies nobody: a high score means that the description fits, not that
the right person was found. Its quality on cameras, clothes, light or languages other than those of its training data
is unknown until measured there.
"""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What the model card says about where the model came from."""

    config: TrainConfig
    records: Sequence[ImageRecord]
    dataset_hash: str
    metrics: Mapping[str, float]
    remarks: Sequence[str] = ()


def write_bundle(out_dir: Path, built: BuiltModel, tokenizer_file: Path, facts: TrainingFacts) -> Path:
    """Write `out_dir/bundle` from a model; returns its folder."""
    target, spec = out_dir / "bundle", _spec(built, facts)
    with Bundle.writing(target, spec) as bundle:
        shutil.copyfile(tokenizer_file, bundle.path(TOKENIZER))
        save_weights(bundle.path(WEIGHTS), built.model, getattr(torch, facts.config.weights_dtype))
        write_json(bundle.path(METRICS), dict(facts.metrics))
        bundle.path(MODEL_CARD).write_text(_card(spec, built, facts), encoding="utf-8")
        write_golden(bundle, TorchEncoder.from_bundle(bundle, "cpu"))
    return target


def _spec(built: BuiltModel, facts: TrainingFacts) -> BundleSpec:
    return BundleSpec(
        method=facts.config.method,
        architecture=built.model.architecture.to_dict(),
        preprocessing=built.preprocessing,
        text_cleaning=built.tokenizer.cleaning,
        context_length=built.model.context_length,
        embedding_dim=built.model.embedding_dim,
        lineage=Lineage(
            dataset_hash=facts.dataset_hash,
            git_commit=git_commit(),
            run_id=os.environ.get("MLFLOW_RUN_ID", ""),
            parent=_parent(facts.config.model.weights),
        ),
    )


def _parent(weights: str) -> str:
    """The fingerprint of the bundle that training started from, or the name of its weights."""
    return Bundle.open(Path(weights)).fingerprint if is_bundle(Path(weights)) else weights


def _start(weights: str) -> str:
    """What a reader elsewhere can use of the weights' place: no folder of this machine."""
    path = Path(weights)
    name = path.name if path.is_absolute() else weights
    return f"{name} (`{Bundle.open(path).fingerprint[:16]}`)" if is_bundle(path) else name


def _card(spec: BundleSpec, built: BuiltModel, facts: TrainingFacts) -> str:
    return CARD.format(
        method=spec.method,
        height=spec.preprocessing.height,
        width=spec.preprocessing.width,
        context_length=spec.context_length,
        embedding_dim=spec.embedding_dim,
        parameters=sum(parameter.numel() for parameter in built.model.parameters()),
        weights=_start(facts.config.model.weights),
        images=len(facts.records),
        captions=sum(len(record.captions) for record in facts.records),
        persons=len({record.person_id for record in facts.records}),
        sources=", ".join(sorted({record.source for record in facts.records})),
        dataset_hash=spec.lineage.dataset_hash,
        git_commit=spec.lineage.git_commit or "unknown",
        metrics="\n".join(f"| {name} | {value:.2f} |" for name, value in facts.metrics.items()),
        remarks="".join(f"\nCareful: {remark}.\n" for remark in facts.remarks),
    )
