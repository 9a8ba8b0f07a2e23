"""The stage `augment`: a prepared data set with back-translations of its captions (`captions_bt`) and proximity images.

Translating takes hours, so it happens once and elsewhere (`back_translation.py`); this stage looks its result up.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from personsearch.augmentation.back_translation import read_translations, same_wording
from personsearch.augmentation.pdg.config import ProximityConfig, identity_of
from personsearch.augmentation.pdg.consistency import Judge
from personsearch.augmentation.pdg.stage import FOLDER as PROXIMITY
from personsearch.augmentation.pdg.stage import generate_proximity
from personsearch.bundle import Bundle
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.data.output_folder import claim, finished_metrics, input_key, lineage, link_image, sole_writer
from personsearch.data.records import MANIFEST, ImageRecord, write_manifest
from personsearch.data.shards import INDEX, SHARDS, link_images
from personsearch.encoders.load import load_encoder
from personsearch.errors import UserError
from personsearch.files import hash_file
from personsearch.progress import track
from personsearch.run_record import RUN_RECORD, write_run_record

ALGORITHM = "augment-1"
UNFINISHED = ".unfinished"
CARRIED = ("stats.json", "rejected.jsonl", "warnings.jsonl", "DATA_CARD.md")


class AugmentConfig(Config):
    """Section `augment` of params.yaml: what is added to the training split before training."""

    translations: Path | None = None
    """File of back-translations: JSON lines {caption, translation} or TBPS-CLIP's format; null keeps the data set's."""

    proximity: ProximityConfig | None = None
    """Add images of each train identity with a garment in another colour (docs/pdg.md); `{}` for the defaults, null for
    none.
    """


def switch_proximity(config: AugmentConfig, *, on: bool | None) -> AugmentConfig:
    """Switch proximity images on (as configured, else by default) or off; None leaves the configuration as it is."""
    if on is None:
        return config
    return config.model_copy(update={"proximity": (config.proximity or ProximityConfig()) if on else None})


def augment(config: AugmentConfig, dataset: Path, out_dir: Path) -> dict[str, float]:
    """Write a copy of the prepared data set `dataset` with `captions_bt` filled; images are hard links where possible.

    A caption without a stored translation keeps its old one, or else stands for itself. Proximity images, if any, are
    train images of new people. Two processes with the same `out_dir` take turns.

    Raises:
        UserError: no prepared data set, an unreadable file of translations, an `out_dir` with other files in it.
    """
    data = Dataset.open(dataset)
    if out_dir.resolve() == dataset.resolve():
        raise UserError(f"{out_dir}: is the input; another folder expected")
    judge = judge_of(config)
    translations_hash = hash_file(config.translations) if config.translations and config.translations.is_file() else ""
    key = input_key(ALGORITHM, data.hash, translations_hash, _proximity_key(config.proximity, judge))
    metrics = finished_metrics(out_dir, key)
    if metrics is None:
        translations = read_translations(config.translations) if config.translations else {}
        source = {"dataset": data.hash, "translations": translations_hash}
        with sole_writer(out_dir):  # the process that held the lock may have written this data set already
            metrics = finished_metrics(out_dir, key)
            if metrics is None:
                metrics = _write(config, translations, data, out_dir, judge=judge)
                write_run_record(out_dir, "augment", config, metrics, lineage(key, out_dir, **source))
                (out_dir / UNFINISHED).unlink()
    return metrics


def judge_of(config: AugmentConfig) -> Judge | None:
    """Load the model bundle that `proximity.judge` names; None if it names none.

    Raises:
        UserError: the folder is not a bundle.
    """
    if config.proximity is None or config.proximity.judge is None:
        return None
    bundle = config.proximity.judge
    return Judge(load_encoder(Bundle.open(bundle)), Bundle.open(bundle).fingerprint)


def _write(
    config: AugmentConfig,
    translations: Mapping[str, str],
    dataset: Dataset,
    out_dir: Path,
    *,
    judge: Judge | None,
) -> dict[str, float]:
    claim(out_dir, ("images", SHARDS, INDEX, PROXIMITY, MANIFEST, *CARRIED, RUN_RECORD), marker=UNFINISHED)
    (out_dir / UNFINISHED).touch()
    _link_files(dataset, out_dir)
    counts: Counter[str] = Counter()
    translated = list(_translated(dataset.records(), translations, counts))
    metrics: dict[str, float] = {name: counts[name] for name in ("captions", "translated", "kept", "untranslated")}
    if config.proximity is not None:
        made, proximity_metrics = generate_proximity(config.proximity, translated, dataset.folder, out_dir, judge)
        translated += made
        metrics |= proximity_metrics
    write_manifest(out_dir, translated)
    metrics["images"] = len(translated)
    return metrics


def _proximity_key(config: ProximityConfig | None, judge: Judge | None) -> list[str]:
    """What proximity images depend on; empty if there are none."""
    if config is None:
        return []
    choices = config.model_dump(mode="json", include={"images_per_identity", "attempts_per_identity", "seed"})
    return [identity_of(config), str(choices), judge.fingerprint if judge else ""]


def _translated(
    records: Sequence[ImageRecord], translations: Mapping[str, str], counts: Counter[str]
) -> Iterator[ImageRecord]:
    for record in records:
        existing = record.captions_bt or record.captions
        wordings = [
            _second_wording(caption, old, translations, counts)
            for caption, old in zip(record.captions, existing, strict=True)
        ]
        yield replace(record, captions_bt=wordings if wordings != record.captions else record.captions_bt)


def _second_wording(caption: str, existing: str, translations: Mapping[str, str], counts: Counter[str]) -> str:
    stored = translations.get(same_wording(caption))
    counts["captions"] += 1
    counts["translated" if stored else "kept" if existing != caption else "untranslated"] += 1
    return stored or existing


def _link_files(dataset: Dataset, out_dir: Path) -> None:
    link_images(dataset.folder, track([record.path for record in dataset.records()], "augment: images"), out_dir)
    for name in CARRIED:
        if (dataset.folder / name).is_file():
            link_image(dataset.folder / name, out_dir / name)
