"""The training stage: turns a prepared data set and a recipe into a model bundle."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from personsearch.augmentation.images import SIMCLR_VIEW, ImageAugmentationConfig
from personsearch.bundle import TOKENIZER
from personsearch.data.cache import default_cache_folder, open_cache
from personsearch.data.dataset import Dataset
from personsearch.data.facts.layout import NO_LAYOUT
from personsearch.data.records import ImageRecord
from personsearch.data.sampler import Groups, Pairs, Rejections, Sampler, few_shot_rows, shuffle_captions
from personsearch.errors import UserError
from personsearch.evaluation.metrics import too_few_people
from personsearch.models.build import BuiltModel, build_model
from personsearch.models.device import choose_device
from personsearch.run_record import RUN_RECORD, read_run_record, write_run_record
from personsearch.training.batches import BatchSource
from personsearch.training.callbacks import Callback
from personsearch.training.checkpoint import BEST, RunProgress, load_trained_weights
from personsearch.training.config import WHERE_NOT_WHAT, TrainConfig
from personsearch.training.cpu import flushed_denormals, kept_memory
from personsearch.training.distillation import load_teacher
from personsearch.training.distributed import barrier, local_device, process_group, rank, share, world_size
from personsearch.training.facts import FactSource
from personsearch.training.loop import Loop, Run
from personsearch.training.model_bundle import TrainingFacts, write_bundle
from personsearch.training.objective import LAYOUT, LOSSES_OF_FACTS, REJECTED, SIMCLR_1, SIMCLR_2, SWAPPED_CAPTIONS
from personsearch.training.validation import Validator

logger = logging.getLogger(__name__)

__all__ = ["TrainConfig", "train"]

CHECKPOINTS = "checkpoints"


def train(config: TrainConfig, dataset: Path, out_dir: Path, *, callbacks: Sequence[Callback] = ()) -> dict[str, float]:
    """Train, and write the epoch of the best validation R@1, then mAP, to `out_dir/bundle`; returns its metrics.

    A killed run resumes from `out_dir/checkpoints` and reaches the weights that it would have reached; a finished run
    is not repeated. Under `torchrun` all processes call this and the first one writes.

    Raises:
        UserError: the data set cannot be trained on, the model cannot be built, the GPU runs out of memory, or
            `out_dir` holds another run.
    """
    return train_on(config, Dataset.open(dataset), out_dir, callbacks=callbacks)


def train_on(
    config: TrainConfig, dataset: Dataset, out_dir: Path, *, callbacks: Sequence[Callback] = ()
) -> dict[str, float]:
    """`train` on a data set that is open."""
    identity = run_identity(config, dataset)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = local_device(choose_device(config.device))
    with flushed_denormals(), kept_memory(), process_group(device):
        share(out_dir / RUN_RECORD)
        finished = _finished(out_dir, identity)
        if finished is not None:
            return finished
        try:
            run = make_run(config, dataset, out_dir, identity=identity, device=device, callbacks=callbacks)
            return _train(run, dataset, out_dir)
        except torch.OutOfMemoryError as error:
            raise UserError(_less_memory(config, device)) from error


def _less_memory(config: TrainConfig, device: torch.device) -> str:
    own = config.batch_size // world_size()
    at_a_time = min(config.chunk_size or own, own)
    if at_a_time == 1:
        return f"{device}: out of memory with one pair at a time; use a smaller model.image_size or another GPU"
    return (
        f"{device}: out of memory with {at_a_time} pairs at a time; --set chunk_size={at_a_time // 2} computes the "
        f"same gradient of batch_size {config.batch_size} in less memory"
    )


def run_identity(config: TrainConfig, dataset: Dataset) -> str:
    """The hash of everything that decides the weights: the data set, and the configuration except where it runs."""
    what = config.model_dump(mode="json", exclude=WHERE_NOT_WHAT)
    if config.distillation is not None:
        what["distillation"] = config.distillation.identity()
    return hashlib.sha256(json.dumps([what, dataset.hash], sort_keys=True).encode()).hexdigest()


def make_run(
    config: TrainConfig,
    dataset: Dataset,
    out_dir: Path,
    *,
    identity: str,
    device: torch.device,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Build what the loop works with: the initial model, its batches and its validation.

    Raises:
        UserError: the data set cannot be trained on, or the model cannot be built.
    """
    records, rows_G = _training_records(config, dataset)
    built = _build(config, records, out_dir)
    built.model.to(device)
    teacher = None if config.distillation is None else load_teacher(config.distillation, built, out_dir, device)
    source = _batch_source(config, dataset, built, records, rows_G, device)
    if teacher is not None:
        source = replace(source, teacher_tokenizer=teacher.built.tokenizer)
    validator = _validator(config, dataset, built, device)
    return Run(config, built, source, validator, out_dir / CHECKPOINTS, identity, callbacks, teacher)


def _train(run: Run, dataset: Dataset, out_dir: Path) -> dict[str, float]:
    callbacks = run.callbacks if rank() == 0 else ()
    remarks = _remarks(run) if rank() == 0 else []
    for remark in remarks:
        logger.warning("%s: %s", dataset, remark)
    for callback in callbacks:
        callback.on_start(run.config.model_dump(mode="json"))
    progress = Loop(run)()
    metrics = _finish(run, out_dir, progress, dataset.hash, remarks)
    for callback in callbacks:
        callback.on_end(metrics)
    return metrics


def _training_records(config: TrainConfig, dataset: Dataset) -> tuple[list[ImageRecord], NDArray[np.int64]]:
    """The records to train on and their row numbers in the split."""
    everyone = dataset.records("train")
    rows_G = few_shot_rows(everyone, config.train_fraction, config.seed)
    records = [everyone[row] for row in rows_G]
    if config.caption_noise:
        records = shuffle_captions(records, config.caption_noise, config.seed)
    pairs = sum(len(record.captions) for record in records)
    if pairs < config.batch_size:
        part = f" at train_fraction {config.train_fraction:g}" if config.train_fraction < 1 else ""
        counted = f"{dataset} has {pairs} training captions{part}"
        raise UserError(f"batch_size={config.batch_size}: {counted}; --set batch_size={pairs} or less expected")
    if config.batch_size % world_size():
        raise UserError(f"batch_size {config.batch_size}: expected a multiple of the {world_size()} processes")
    return records, rows_G


def _build(config: TrainConfig, records: Sequence[ImageRecord], out_dir: Path) -> BuiltModel:
    """The model with weights that follow from the seed. The first process makes the tokenizer, the others read it."""
    tokenizer_file = out_dir / CHECKPOINTS / TOKENIZER

    def captions() -> list[str]:
        return [caption for record in records for caption in record.captions]

    if rank() != 0:
        share(tokenizer_file)
    torch.manual_seed(config.seed)
    built = build_model(config.model, captions, tokenizer_file)
    if rank() == 0:
        share(tokenizer_file)
    return built


def _batch_source(  # noqa: PLR0917
    config: TrainConfig,
    dataset: Dataset,
    built: BuiltModel,
    records: Sequence[ImageRecord],
    rows_G: NDArray[np.int64],
    device: torch.device,
) -> BatchSource:
    size = built.preprocessing.height, built.preprocessing.width
    pairs = Pairs.of(records)
    groups = Groups.of(records)
    return BatchSource(
        records=records,
        pixels_GHW3=open_cache(dataset, _cache_folder(config), "train", size, built.preprocessing.interpolation),
        pixel_rows_G=rows_G,
        pairs=pairs,
        sampler=Sampler(len(pairs), config.batch_size, config.seed, groups and groups.of_pairs(pairs)),
        tokenizer=built.tokenizer,
        preprocessing=built.preprocessing,
        augmentation={view: _augmentation(config, view) for view in config.objective.image_views},
        text_augmentation=config.text_augmentation,
        text_views=config.objective.text_views,
        mixup=config.mixup,
        device=device,
        rank=rank(),
        world_size=world_size(),
        facts=_facts(config, dataset, records, groups),
        swapped_share=config.objective.swapped_share,
        rejections=_rejections(config, dataset, records, pairs),
    )


def _rejections(
    config: TrainConfig, dataset: Dataset, records: Sequence[ImageRecord], pairs: Pairs
) -> Rejections | None:
    """The images that people rejected, where a loss learns from them."""
    if REJECTED not in config.objective.image_views:
        return None
    rejections = Rejections.of(records, pairs)
    if not rejections.images_of_pair:
        raise UserError(f"{dataset}: objective.losses.rejected_images: no image was rejected for a training caption")
    return rejections


def _facts(
    config: TrainConfig, dataset: Dataset, records: Sequence[ImageRecord], groups: Groups | None
) -> FactSource | None:
    """The facts that a loss asks for, or that say which caption fits a near twin as well."""
    asking = sorted(LOSSES_OF_FACTS & set(config.objective.losses))
    if not asking and groups is None:
        return None
    group_G = None if groups is None else groups.group_G
    source = FactSource.of(records, group_G, layout=LAYOUT in asking, wrong=SWAPPED_CAPTIONS in asking)
    if source.layout_GC is not None and (source.layout_GC == NO_LAYOUT).all():
        raise UserError(f"{dataset}: objective.losses.layout: no image has the attribute `layout`")
    if asking and not source.images_with_facts:
        raise UserError(f"{dataset}: objective.losses.{asking[0]}: no image has attributes or words that it knows")
    return source


def _augmentation(config: TrainConfig, view: str) -> ImageAugmentationConfig:
    return SIMCLR_VIEW if view in {SIMCLR_1, SIMCLR_2} else config.image_augmentation


def _validator(config: TrainConfig, dataset: Dataset, built: BuiltModel, device: torch.device) -> Validator:
    records = dataset.records("val")
    if not records:
        raise UserError(f"{dataset}: split val has no images; the best epoch is chosen on it")
    size, interpolation = (built.preprocessing.height, built.preprocessing.width), built.preprocessing.interpolation
    return Validator(built, records, open_cache(dataset, _cache_folder(config), "val", size, interpolation), device)


def _finish(run: Run, out_dir: Path, progress: RunProgress, data: str, remarks: Sequence[str]) -> dict[str, float]:
    """Load the best epoch's weights, measure them and write the bundle."""
    share(run.checkpoints / BEST)
    load_trained_weights(run.checkpoints / BEST, run.model)
    metrics = run.validator() | {"best_epoch": progress.best_epoch + 1, "steps": progress.step}
    if rank() == 0:
        facts = TrainingFacts(run.config, run.source.records, data, metrics, remarks)
        write_bundle(out_dir, run.built, run.checkpoints / TOKENIZER, facts)
        write_run_record(out_dir, "train", run.config, metrics, {"dataset_hash": data, "identity": progress.identity})
    barrier()
    return metrics


def _remarks(run: Run) -> list[str]:
    """What makes a training worth less than its figures say: long captions that are cut, few people to validate on."""
    tokenizer, captions = run.built.tokenizer, [text for record in run.source.records for text in record.captions]
    cut = tokenizer.count_cut(captions)
    long = (
        f"{cut:,} of {len(captions):,} training captions are longer than {tokenizer.context_length} tokens and are cut"
    )
    few = too_few_people("split val", len({record.person_id for record in run.validator.records}))
    return [remark for remark in (long if cut else None, few) if remark]


def _finished(out_dir: Path, identity: str) -> dict[str, float] | None:
    record = read_run_record(out_dir)
    if record is None:
        return None
    if record.lineage.get("identity") != identity:
        raise UserError(f"{out_dir}: holds a finished run with another configuration or data set; choose another --out")
    return record.metrics


def _cache_folder(config: TrainConfig) -> Path:
    return config.cache or default_cache_folder()
