"""The stage `evaluate --footage`: how well a model finds described people in real footage.

Every clip is ingested, its crops are encoded, and each description is searched for among the tracks of all clips.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np

from personsearch.bundle import CALIBRATION, METRICS, Bundle
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load import load_encoder
from personsearch.errors import UserError
from personsearch.evaluation.described import DescribedFootage, DescribedPerson, read_described
from personsearch.files import hash_file, write_json
from personsearch.gallery import ingest as ingest_package
from personsearch.gallery.ingest.stage import ingest, settings_text
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.gallery.ingest.video import VideoInfo, read_info
from personsearch.gallery.store import Gallery
from personsearch.images import open_image, resize
from personsearch.run_record import RUN_RECORD, write_run_record
from personsearch.search.calibration import read_calibration
from personsearch.search.crop import Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.searcher import Candidate, Searcher, track_of

BATCH = 64
CAMERA = "clip"
START = datetime(2026, 1, 1, tzinfo=UTC)
SHOWN = 5
CUTOFFS = (1, 5, 10)

Track = tuple[str, str, str]


@dataclass(frozen=True)
class FootageFiles:
    """Described people, the folder of their clips, and a folder of galleries, one for each clip, in which its crops
    are kept for the next model.

    The crops show real people: keep that folder as private as the clips.
    """

    described: Path
    clips: Path
    crops: Path
    open_gallery: Callable[[Path], Gallery]


@dataclass(frozen=True)
class Clip:
    """The crops of one clip and the gallery of their pictures; `camera_id` is the clip's name."""

    info: VideoInfo
    gallery: Gallery
    crops: list[Crop]


@dataclass(frozen=True)
class Footage:
    """Described people and all clips that show them, by name."""

    described: DescribedFootage
    clips: dict[str, Clip]

    @cached_property
    def crops(self) -> list[Crop]:
        """The crops of all clips."""
        return [crop for clip in self.clips.values() for crop in clip.crops]

    @cached_property
    def tracks(self) -> int:
        """How many tracks all clips have."""
        return len({track_of(crop) for crop in self.crops})

    def tracks_of(self, person: DescribedPerson) -> set[Track]:
        """The tracks with a crop that shows the person; none if ingest missed them."""
        clip = self.clips[person.clip]
        return {track_of(crop) for crop in clip.crops if person.is_shown(crop, clip.info)}

    def picture(self, crop: Crop) -> bytes:
        """A crop's picture."""
        return self.clips[crop.camera_id].gallery.picture(crop)


@dataclass(frozen=True)
class Asked:
    """What a search for one description gave.

    `right_tracks` counts the tracks that show the person; `rank` is that of the first of them, None if there is none.
    `reliable` says whether the best candidate was called so, None for a model without calibration.
    """

    clip: str
    text: str
    right_tracks: int
    rank: int | None
    reliable: bool | None


@dataclass(frozen=True)
class Shown:
    """A description with its best candidates, and for each whether it shows the person."""

    asked: Asked
    candidates: list[tuple[Candidate, bool]]


@dataclass(frozen=True)
class FootageFindings:
    """The searches for people in the footage, then those for people who are not, and what was searched."""

    present: list[Shown]
    absent: list[Shown]
    people: int
    people_found: int
    tracks: int
    crops: int

    def metrics(self) -> dict[str, float]:
        """The metrics by name; shares and R@k in percent.

        R@k counts people whom ingest missed as not found; `footage_found_r…` leaves them out.
        """
        asked = [shown.asked for shown in self.present]
        counts = {
            "footage_people": self.people,
            "footage_people_found": self.people_found,
            "footage_tracks": self.tracks,
            "footage_crops": self.crops,
            "footage_chance_r1": _percent(one.right_tracks / max(self.tracks, 1) for one in asked),
        }
        return {**counts, **_ranking("footage_", asked), **self._confidence()}

    def by_clip(self) -> dict[str, dict[str, float]]:
        """The ranking of each clip's people among the tracks of all clips."""
        names = sorted({shown.asked.clip for shown in self.present})
        return {
            name: _ranking("", [shown.asked for shown in self.present if shown.asked.clip == name]) for name in names
        }

    def _confidence(self) -> dict[str, float]:
        """How often the best candidate is called reliable: where it is right, and where the person is absent."""
        asked = [shown.asked for shown in (*self.present, *self.absent)]
        right = [one.reliable is True for one in asked if one.rank == 1]
        called = [one.rank == 1 for one in asked if one.reliable]
        missing = [shown.asked.reliable is True for shown in self.absent]
        if any(one.reliable is None for one in asked):
            return {}
        shares = {"right_reliable": right, "reliable_right": called, "absent_reliable": missing}
        return {f"footage_{name}": _percent(values) for name, values in shares.items() if values}


def evaluate_footage(
    config: IngestConfig,
    bundle: Path,
    files: FootageFiles,
    out_dir: Path,
    *,
    calibration: Path | None = None,
    threads: int = 0,
) -> FootageFindings:
    """Measure a bundle on described footage; writes metrics.json, report.html, ranks.md and run.json.

    `calibration` replaces the bundle's own. A clip that was ingested before with these settings is not ingested again.

    Raises:
        UserError: the bundle, the descriptions or a clip cannot be read, or nobody was found in any clip.
    """
    from personsearch.evaluation.footage_report import ranks_table, write_footage_report

    opened = Bundle.open(bundle)
    footage = take_in(config, files)
    searcher = footage_searcher(footage, load_encoder(opened, threads=threads), calibration or bundle / CALIBRATION)
    findings = search_footage(footage, searcher)
    details = {
        "by_clip": findings.by_clip(),
        "searches": [asdict(shown.asked) for shown in (*findings.present, *findings.absent)],
    }
    write_json(out_dir / METRICS, {**findings.metrics(), **details})
    (out_dir / "ranks.md").write_text(ranks_table(findings), encoding="utf-8")
    write_footage_report(out_dir / "report.html", findings, opened, footage.picture)
    lineage = {"fingerprint": opened.fingerprint, "described": hash_file(files.described)}
    write_run_record(out_dir, "evaluate-footage", config, findings.metrics(), lineage)
    return findings


def take_in(config: IngestConfig, files: FootageFiles) -> Footage:
    """The described people and their clips, ingested.

    Raises:
        UserError: the descriptions or a clip cannot be read.
    """
    described = read_described(files.described)
    for name in described.clips:
        if not (files.clips / name).is_file():
            raise UserError(f"{files.described}: clip {name!r} is not in {files.clips}")
    return Footage(described, {name: _take_in_clip(config, files, name) for name in described.clips})


def footage_searcher(footage: Footage, encoder: Encoder, calibration: Path) -> Searcher:
    """An exact index in memory of all crops, and a searcher with this calibration.

    Raises:
        UserError: there is no crop in any clip, or the calibration is damaged.
    """
    if not footage.crops:
        raise UserError(f"{', '.join(footage.clips)}: nobody was found in these clips; see docs/ingest.md")
    index, size = ExactIndex(encoder.embedding_dim), encoder.preprocessing
    for start in range(0, len(footage.crops), BATCH):
        crops = footage.crops[start : start + BATCH]
        images = (open_image(footage.picture(crop)) for crop in crops)
        pixels = np.stack([resize(image, size.height, size.width, size.interpolation) for image in images])
        index.upsert(crops, encoder.encode_images(pixels))
    return Searcher(encoder, index, read_calibration(calibration))


def search_footage(footage: Footage, searcher: Searcher) -> FootageFindings:
    """Search for every description among the tracks of all clips."""
    tracks = {person: footage.tracks_of(person) for person in footage.described.people}
    present = [
        _search(footage, searcher, person.clip, text, right)
        for person, right in tracks.items()
        for text in person.descriptions
    ]
    absent = [_search(footage, searcher, "", text, set()) for text in footage.described.absent]
    found = sum(map(bool, tracks.values()))
    return FootageFindings(present, absent, len(tracks), found, footage.tracks, len(footage.crops))


def _search(footage: Footage, searcher: Searcher, clip: str, text: str, right: set[Track]) -> Shown:
    answer = searcher.answer(text, k=footage.tracks)
    judged = [(candidate, track_of(candidate.crop) in right) for candidate in answer.candidates]
    first = next((candidate.rank for candidate, is_right in judged if is_right), None)
    best = judged[:SHOWN]
    if first is not None and first > SHOWN:
        best.append(judged[first - 1])
    return Shown(Asked(clip, text, len(right), first, answer.reliable), best)


def _take_in_clip(config: IngestConfig, files: FootageFiles, name: str) -> Clip:
    """Ingest a clip into a gallery of its own, named after everything that its crops depend on."""
    video = files.clips / name
    key = hashlib.sha256(f"{hash_file(video)}\n{settings_text(config)}\n{_code_of_ingest()}".encode()).hexdigest()
    gallery = files.open_gallery(files.crops / key[:32])
    # Two clips may be the same video, so ids and camera are those of the clip only outside its gallery.
    if not any(gallery.folder.glob(f"ingests/*/{RUN_RECORD}")):
        ingest(config, video, gallery, camera_id=CAMERA, start=START)
    held = list(gallery.crops())
    crops = [replace(crop, camera_id=name, crop_id=f"{name}/{crop.crop_id}") for crop in held]
    return Clip(read_info(video, frames_per_second=config.frames_per_second), gallery, crops)


def _code_of_ingest() -> str:
    """A hash of the code that finds people: another version of it finds others."""
    digest = hashlib.sha256()
    for folder in ingest_package.__path__:
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _ranking(prefix: str, asked: Sequence[Asked]) -> dict[str, float]:
    ranks = [one.rank for one in asked if one.rank is not None]
    figures: dict[str, float] = {f"{prefix}searches": len(asked), f"{prefix}searches_found_by_ingest": len(ranks)}
    for k in CUTOFFS:
        figures[f"{prefix}r{k}"] = _percent(one.rank is not None and one.rank <= k for one in asked)
    if ranks:
        figures |= {f"{prefix}found_r{k}": _percent(rank <= k for rank in ranks) for k in CUTOFFS}
        figures[f"{prefix}median_rank"] = float(median(ranks))
    return figures


def _percent(values: Iterable[float]) -> float:
    shares = list(values)
    return 100.0 * sum(shares) / len(shares)
