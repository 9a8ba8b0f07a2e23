"""Proximity images for a data set: each train identity with a garment in another colour, as a new identity.

Attempts are made in rounds, one per round for each identity that still lacks images, so the result depends only on the
data and the settings and not on the number of processes. A killed run finds its finished attempts in the cache.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from personsearch.augmentation.pdg.attempts import Attempt, Outcome, Workshop, make_in_worker, start_worker
from personsearch.augmentation.pdg.changes import new_record, plan_changes, store
from personsearch.augmentation.pdg.config import ProximityConfig, identity_of
from personsearch.augmentation.pdg.consistency import Judge
from personsearch.augmentation.pdg.contact_sheet import save_contact_sheet
from personsearch.augmentation.pdg.garments import Part
from personsearch.augmentation.pdg.generator import Generator
from personsearch.augmentation.pdg.recolour import Recolour
from personsearch.augmentation.pdg.super_resolution import DiffusionUpscaler, Lanczos, NoEnlargement, SuperResolution
from personsearch.data.records import ImageRecord
from personsearch.data.shards import picture
from personsearch.files import replacing, user_cache
from personsearch.images import open_image
from personsearch.progress import track

FOLDER, DECISIONS, SHEET = "proximity", "decisions.jsonl", "contact_sheet.png"
JUDGED_TOGETHER = 64

Make = Callable[[Sequence[Attempt]], Iterator[Outcome]]


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of an attempt: the image if it was accepted, else the reason."""

    attempt: Attempt
    image: Path | None
    reason: str


def generate_proximity(
    config: ProximityConfig, records: Sequence[ImageRecord], dataset: Path, out_dir: Path, judge: Judge | None
) -> tuple[list[ImageRecord], dict[str, float]]:
    """Write new images below `out_dir`; return their records and the counts of accepted and refused attempts.

    Also writes proximity/decisions.jsonl, one line per attempt, and proximity/contact_sheet.png.

    Raises:
        UserError: an image cannot be decoded, or a named folder holds no model.
    """
    with _maker(config, dataset) as (make, parts):
        decisions = _decide(config, _plans(config, records, parts), make, judge)
    accepted = [decision for decision in decisions if decision.image]
    first_id = max((record.person_id for record in records), default=0) + 1
    made = []
    for number, decision in enumerate(accepted):
        assert decision.image is not None
        content = decision.image.read_bytes()
        made.append(new_record(decision.attempt, content, first_id + number, f"pdg:{config.generator}"))
        store(decision.image, out_dir / made[-1].path)
    _write_decisions(out_dir / FOLDER / DECISIONS, decisions)
    pairs = [(picture(dataset, decision.attempt.record.path), decision) for decision in accepted]
    save_contact_sheet(
        out_dir / FOLDER / SHEET,
        [(before, d.image, d.attempt.caption, d.attempt.change) for before, d in pairs if d.image],
        seed=config.seed,
    )
    return made, _metrics(decisions, made, records)


def _plans(config: ProximityConfig, records: Sequence[ImageRecord], parts: frozenset[Part]) -> list[Iterator[Attempt]]:
    """The attempts of each train identity, in the manifest's order: images in random order, caption by caption."""
    images_of: dict[int, list[ImageRecord]] = defaultdict(list)
    for record in records:
        if record.split == "train":
            images_of[record.person_id].append(record)
    return [
        islice(_attempts(config.seed, images, parts), config.attempts_per_identity) for images in images_of.values()
    ]


def _attempts(seed: int, images: list[ImageRecord], parts: frozenset[Part]) -> Iterator[Attempt]:
    # seeded by the person, so that adding or removing other people changes nothing for this one
    generator = np.random.default_rng([seed, images[0].person_id % 2**63])
    for index in generator.permutation(len(images)):
        record = images[int(index)]
        for caption, change in plan_changes(record.captions, parts, generator):
            yield Attempt(record, caption, change)


def _decide(config: ProximityConfig, plans: list[Iterator[Attempt]], make: Make, judge: Judge | None) -> list[Decision]:
    """The decision on every attempt, identity by identity."""
    decisions: list[list[Decision]] = [[] for _ in plans]
    for number in range(config.attempts_per_identity):
        asked = [
            (person, attempt)
            for person, plan in enumerate(plans)
            if sum(d.image is not None for d in decisions[person]) < config.images_per_identity
            and (attempt := _next_attempt(plan, decisions[person])) is not None
        ]
        if not asked:
            break
        attempts = [attempt for _, attempt in asked]
        outcomes = track(make(attempts), f"proximity: round {number + 1}", total=len(attempts))
        for (person, _), decision in zip(asked, _judged(attempts, outcomes, judge), strict=True):
            decisions[person].append(decision)
    return [decision for of_person in decisions for decision in of_person]


def _next_attempt(plan: Iterator[Attempt], decisions: list[Decision]) -> Attempt | None:
    """The next attempt on an image of which none was accepted yet."""
    used = {decision.attempt.record.image_id for decision in decisions if decision.image}
    return next((attempt for attempt in plan if attempt.record.image_id not in used), None)


def _judged(attempts: list[Attempt], outcomes: Iterator[Outcome], judge: Judge | None) -> Iterator[Decision]:
    """Turn outcomes into decisions; the encoder, if there is one, can reject an image."""
    pairs = zip(attempts, outcomes, strict=True)
    while group := list(islice(pairs, JUDGED_TOGETHER)):
        made = [(attempt, outcome.image) for attempt, outcome in group if outcome.image]
        images = [np.asarray(open_image(path)) for _, path in made] if judge else []
        old, new = [a.caption for a, _ in made], [a.change.caption for a, _ in made]
        verdicts = iter(judge.agrees(images, old, new) if judge and made else [True] * len(made))
        for attempt, outcome in group:
            if outcome.image and not next(verdicts):
                yield Decision(attempt, None, "encoder-prefers-old-caption")
            else:
                yield Decision(attempt, outcome.image, outcome.reason)


@contextmanager
def _maker(config: ProximityConfig, dataset: Path) -> Iterator[tuple[Make, frozenset[Part]]]:
    """A function that makes attempts, with outcomes in their order, and the parts that the generator can change."""
    generator, enlargement = make_generator(config), make_super_resolution(config)
    workshop = Workshop(dataset, _cache_folder(config), generator, enlargement, identity_of(config))
    if config.workers == 1 or config.runs_a_network:
        yield (lambda attempts: map(workshop.make, attempts)), generator.parts
        return
    fresh = get_context("spawn")  # a forked child would inherit locks held by this process's OpenCV and torch threads
    with ProcessPoolExecutor(config.workers, fresh, start_worker, (workshop,)) as pool:
        yield (lambda attempts: pool.map(make_in_worker, attempts, chunksize=8)), generator.parts


def _cache_folder(config: ProximityConfig) -> Path:
    return config.cache or user_cache("proximity")


def _write_decisions(path: Path, decisions: list[Decision]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for decision in decisions:
            attempt = decision.attempt
            line = {
                "image_id": attempt.record.image_id,
                "person_id": attempt.record.person_id,
                "part": attempt.change.part,
                "old_colour": attempt.change.old_colour,
                "new_colour": attempt.change.new_colour,
                "caption": attempt.caption,
                "new_caption": attempt.change.caption,
                "accepted": decision.image is not None,
                "reason": decision.reason,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _metrics(decisions: list[Decision], made: list[ImageRecord], records: Sequence[ImageRecord]) -> dict[str, float]:
    reasons = Counter(decision.reason for decision in decisions if not decision.image)
    identities = {record.person_id for record in records if record.split == "train"}
    served = {decision.attempt.record.person_id for decision in decisions if decision.image}
    return {
        "proximity_accepted": len(made),
        "proximity_refused": sum(reasons.values()),
        "proximity_identities": len(served),
        "proximity_identities_without": len(identities - served),
        **{f"proximity_refused_{reason}": count for reason, count in sorted(reasons.items())},
    }


def make_generator(config: ProximityConfig) -> Generator:
    """The configured generator; its weights are loaded when it is first used."""
    if config.generator == "diffusion":
        from personsearch.augmentation.pdg.diffusion.editor import DiffusionEditor

        assert config.diffusion is not None
        return DiffusionEditor(config.diffusion)
    return Recolour()


def make_super_resolution(config: ProximityConfig) -> SuperResolution:
    """The configured enlargement."""
    if isinstance(config.super_resolution, Path):
        device = config.diffusion.device if config.diffusion else "auto"
        return DiffusionUpscaler(config.super_resolution, config.upscaling_steps, device, config.seed)
    return Lanczos() if config.super_resolution == "lanczos" else NoEnlargement()
