"""The stage that writes a synthetic data set in CUHK-PEDES's format: `imgs/`, `reid_raw.json`."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from personsearch.config import Config
from personsearch.data.label import DatasetLabel, write_label
from personsearch.data.output_folder import sole_writer
from personsearch.data.records import Split
from personsearch.data.synthetic.attributes import Person, draw_person
from personsearch.data.synthetic.camera import Camera, by_night, draw_camera
from personsearch.data.synthetic.captions import DESCRIPTIVE_STYLES, TRAINING_STYLES, write_captions
from personsearch.data.synthetic.snapshot import take_snapshot
from personsearch.data.synthetic.twins import colour_twin, shape_twin
from personsearch.data.synthetic.uncommon import with_uncommon
from personsearch.errors import UserError
from personsearch.files import replacing, write_json
from personsearch.processes import end_with_parent
from personsearch.progress import track
from personsearch.run_record import read_run_record, write_run_record

ANNOTATIONS = "reid_raw.json"
UNFINISHED = ".unfinished"
BEGUN = Path(UNFINISHED, "config.json")
TWIN_EVERY = 4
TILE = (192, 96)
"""Height and width of one sample on a contact sheet."""


class SynthesizeConfig(Config):
    """Section `synthesize` of params.yaml: a data set of synthetic pedestrians."""

    identities_train: int = Field(600, ge=0)
    """People in train."""

    identities_val: int = Field(60, ge=0)
    """People in val."""

    identities_test: int = Field(220, ge=0)
    """People in test. Here and in val, a quarter have a near twin in other colours, a quarter one in the same."""

    twins: int = Field(4, ge=1)
    """People of each group in train who share every colour and differ in one to three other things; 1 for strangers
    only.
    """

    images_per_identity: int = Field(4, ge=1, le=12)
    """Images of each person, from different cameras where there are enough."""

    cameras: int = Field(12, ge=1, le=200)
    """Cameras, each with its own place and view."""

    captions_per_image: int = Field(2, ge=1, le=4)
    """Captions of each image."""

    domain: Literal["day", "night"] = "day"
    """`day` or `night`; training on one and testing on the other shows transfer."""

    seed: int = 0
    """Another seed gives other people."""

    workers: int = Field(2, ge=1, le=64)
    """Processes that draw; the images do not depend on it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One person to be drawn: number, split, `first` of their group of near twins, and the kind of twin they are."""

    number: int
    split: Split
    first: int
    twin: Literal["", "colour", "shape"] = ""


@dataclass(frozen=True, slots=True)
class Sitter:
    """An identity with its appearance; `phase` individualises folds and patterns."""

    identity: Identity
    person: Person
    phase: float


def synthesize(config: SynthesizeConfig, out_dir: Path) -> dict[str, float]:
    """Write the data set and return its counts. A second call finishes an interrupted run; two at once take turns.

    The result depends on the configuration alone, not on `workers` or on interruptions.

    Raises:
        UserError: the folder holds a data set of other settings, finished or not.
    """
    metrics = _finished(out_dir, config)
    if metrics is None:
        with sole_writer(out_dir):  # the process that held the lock may have written this data set already
            metrics = _finished(out_dir, config) or _write(config, out_dir)
    return metrics


def _write(config: SynthesizeConfig, out_dir: Path) -> dict[str, float]:
    write_json(out_dir / BEGUN, _settings(config))
    identities = list(plan_identities(config))
    entries: list[dict[str, Any]] = []
    jobs = ((config, identity, out_dir) for identity in identities)
    if config.workers == 1:
        for made in track(map(_draw_identity, jobs), "synthesize", total=len(identities)):
            entries += made
    else:
        with ProcessPoolExecutor(config.workers, initializer=end_with_parent) as pool:
            for made in track(pool.map(_draw_identity, jobs, chunksize=8), "synthesize", total=len(identities)):
                entries += made
    for leftover in (out_dir / "imgs").rglob(".*.partial"):  # of a process that was killed while it wrote
        leftover.unlink(missing_ok=True)
    write_json(out_dir / ANNOTATIONS, entries)
    metrics: dict[str, float] = {
        "identities": len(identities),
        "images": len(entries),
        "captions": sum(len(entry["captions"]) for entry in entries),
    }
    write_label(out_dir, DatasetLabel(name="synthetic", licence="Apache-2.0 (generated, shows nobody)"))
    write_run_record(out_dir, "synthesize", config, metrics, {})
    shutil.rmtree(out_dir / UNFINISHED, ignore_errors=True)
    return metrics


def _settings(config: SynthesizeConfig) -> dict[str, Any]:
    """What the data set depends on."""
    return config.model_dump(mode="json", exclude={"workers"})


def _finished(out_dir: Path, config: SynthesizeConfig) -> dict[str, float] | None:
    """The metrics of a data set that is already complete.

    Raises:
        UserError: the folder holds one of other settings, finished or not.
    """
    record, begun = read_run_record(out_dir), out_dir / BEGUN
    known = [record.config] if record else []
    known += [json.loads(begun.read_text(encoding="utf-8"))] if begun.is_file() else []
    for settings in known:
        if {key: value for key, value in settings.items() if key != "workers"} != _settings(config):
            raise UserError(f"{out_dir}: holds a synthetic data set of other settings; an empty folder expected")
    return record.metrics if record and (out_dir / ANNOTATIONS).is_file() else None


def plan_identities(config: SynthesizeConfig) -> Iterator[Identity]:
    """All identities, numbered from 1 as in CUHK-PEDES: train, then val, then test."""
    number = 0
    counts: tuple[tuple[Split, int], ...] = (
        ("train", config.identities_train),
        ("val", config.identities_val),
        ("test", config.identities_test),
    )
    for split, count in counts:
        for index in range(count):
            number += 1
            yield _placed(number, index, split, config.twins)


def _placed(number: int, index: int, split: Split, group: int) -> Identity:
    if split == "train":
        place = index % group
        return Identity(number, split, number - place, "shape" if place else "")
    # The quarter in other colours came first and keeps its places.
    match index % TWIN_EVERY:
        case 1:
            return Identity(number, split, number - 1, "shape")
        case 3:
            return Identity(number, split, number - 1, "colour")
        case _:
            return Identity(number, split, number)


def person_of(config: SynthesizeConfig, identity: Identity) -> Person:
    """The appearance of an identity, from the seed and its number."""
    # Each use has a stream of its own (the last number), so that a change to one leaves the others as they were.
    rng = np.random.default_rng([config.seed, identity.number, 1])
    if not identity.twin:
        person = draw_person(rng)
    else:
        original = draw_person(np.random.default_rng([config.seed, identity.first, 1]))
        person = (colour_twin if identity.twin == "colour" else shape_twin)(original, rng)
    group, own = (np.random.default_rng([config.seed, *key]) for key in ((identity.first, 9), (identity.number, 10)))
    return with_uncommon(person, group, own)


@lru_cache(maxsize=256)
def camera_of(seed: int, index: int, domain: str) -> Camera:
    """The camera of an index."""
    rng = np.random.default_rng([seed, index, 2])
    camera = draw_camera(f"cam_{index + 1:02d}", rng)
    return by_night(camera, rng) if domain == "night" else camera


def _draw_identity(job: tuple[SynthesizeConfig, Identity, Path]) -> list[dict[str, Any]]:
    """Write the images of one identity and return its annotations; those of an earlier run are read instead."""
    config, identity, out_dir = job
    finished = out_dir / UNFINISHED / f"{identity.number:05d}.json"
    if finished.is_file():
        entries: list[dict[str, Any]] = json.loads(finished.read_text(encoding="utf-8"))
        return entries
    phase = float(np.random.default_rng([config.seed, identity.number, 3]).random())
    sitter = Sitter(identity, person_of(config, identity), phase)
    order = np.random.default_rng([config.seed, identity.number, 4]).permutation(
        max(config.cameras, config.images_per_identity)
    )
    cameras = [
        camera_of(config.seed, int(order[index] % config.cameras), config.domain)
        for index in range(config.images_per_identity)
    ]
    entries = [_draw_image(config, sitter, camera, index, out_dir) for index, camera in enumerate(cameras)]
    write_json(finished, entries)
    return entries


def _draw_image(config: SynthesizeConfig, sitter: Sitter, camera: Camera, index: int, out_dir: Path) -> dict[str, Any]:
    """Write one image and return its annotation."""
    identity, person = sitter.identity, sitter.person
    rng = np.random.default_rng([config.seed, identity.number, 5, index])
    path = f"{camera.name}/{identity.number:05d}_{index}.jpg"
    snapshot = take_snapshot(person, sitter.phase, camera, rng)
    with replacing(out_dir / "imgs" / path) as temporary:
        temporary.write_bytes(snapshot.jpeg)
    styles = TRAINING_STYLES if identity.split == "train" else DESCRIPTIVE_STYLES
    written = write_captions(person, snapshot.sight, rng, count=config.captions_per_image, styles=styles)
    return {
        "split": identity.split,
        "captions": written.captions,
        "captions_bt": written.captions_bt,
        "file_path": path,
        "processed_tokens": [tokens(caption) for caption in written.captions],
        "id": identity.number,
        "camera_id": camera.name,
        "attributes": {
            **person.ground_truth(),
            "group": identity.first,
            "facing": snapshot.sight.facing,
            "visible": sorted(snapshot.sight.visible),
            "layout": snapshot.layout,
        },
    }


def tokens(caption: str) -> list[str]:
    """Lower-case words without punctuation, as CUHK-PEDES's `processed_tokens`."""
    return caption.lower().replace(",", " ").replace(".", " ").split()


def save_contact_sheet(dataset: Path, path: Path, *, columns: int = 14, rows: int = 4, seed: int = 0) -> None:
    """Save a PNG of randomly chosen images of a data set, or all of them if there are fewer."""
    entries = json.loads((dataset / ANNOTATIONS).read_text(encoding="utf-8"))
    order = np.random.default_rng(seed).permutation(len(entries))[: columns * rows]
    sheet = np.full((rows * TILE[0], columns * TILE[1], 3), 255, np.uint8)
    for place, index in enumerate(order):
        image = cv2.imread(str(dataset / "imgs" / entries[int(index)]["file_path"]))
        top, left = place // columns * TILE[0], place % columns * TILE[1]
        tile = cv2.resize(image, (TILE[1], TILE[0]), interpolation=cv2.INTER_CUBIC)
        sheet[top : top + TILE[0], left : left + TILE[1]] = tile
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
