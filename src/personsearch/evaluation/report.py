"""The report on a model: one self-contained HTML page, without scripts, that loads nothing from elsewhere.

Shapes: K candidates.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from personsearch.bundle import Bundle
from personsearch.data.dataset import Dataset
from personsearch.data.records import ImageRecord
from personsearch.data.shards import picture
from personsearch.evaluation.attributes.section import seen_section
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.markup import bar, table
from personsearch.evaluation.measured import EvaluateConfig, Evaluation, Slice
from personsearch.evaluation.metrics import QueryRanks, RetrievalMetrics, too_few_people, top_candidates
from personsearch.files import replacing
from personsearch.images import open_image
from personsearch.search.calibration import Calibration
from personsearch.search.query import QueryKind

TEMPLATE = "report_template.html"
CHART_WIDTH, CHART_HEIGHT, MARGIN = 640, 260, 36
SHOWN_RANKS = 20
SHOWN_CANDIDATES = 5
THUMBNAIL = (160, 80)
JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Picture:
    """A thumbnail as a data URL, and whether it shows the person searched for."""

    source: str
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A caption, the image it describes, the rank of the first right image, and the best candidates."""

    caption: str
    described: Picture
    first_rank: int
    candidates: list[Picture]


OTHER_KINDS: dict[QueryKind, str] = {
    "picture": "A picture",
    "picture_and_words": "A picture and a description",
    "descriptions": "Several descriptions",
    "exclusion": "A description, and what is excluded",
}


def write_report(path: Path, evaluation: Evaluation, config: EvaluateConfig, bundle: Bundle, dataset: Dataset) -> None:
    """Write the page atomically."""
    examples = {
        right: pick_examples(dataset.folder, evaluation.embeddings, evaluation.ranks, right=right, most=config.examples)
        for right in (True, False)
    }
    template = Template(files("personsearch.evaluation").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(f"{bundle.spec.method}, {bundle.spec.variant}, on {config.split}"),
        remark=_remark(too_few_people(f"split {config.split}", evaluation.people)),
        headline=_headline(evaluation),
        directions=_directions(evaluation),
        seen=seen_section(evaluation.seen),
        cmc=_curve({"text → image": evaluation.text_to_image.cmc, "image → text": evaluation.image_to_text.cmc}),
        right="".join(map(_example, examples[True])) or "<p>None.</p>",
        wrong="".join(map(_example, examples[False])) or "<p>None.</p>",
        cameras=_slice_table("Camera", evaluation.cameras),
        attributes="".join(
            _slice_table(name.replace("_", " "), slices) for name, slices in evaluation.attributes.items()
        )
        or "<p>The data set has no attributes.</p>",
        calibration=_calibration(evaluation.calibration),
        lineage=_lineage(bundle, dataset, config),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _remark(remark: str | None) -> str:
    return f'<p class="remark">Careful: {escape(remark)}.</p>' if remark else ""


def _headline(evaluation: Evaluation) -> str:
    metrics = evaluation.text_to_image
    figures = [
        ("R@1", f"{metrics.r1:.1f} %", f"chance {_chance(evaluation):.2f} %"),
        ("R@5", f"{metrics.r5:.1f} %", ""),
        ("R@10", f"{metrics.r10:.1f} %", ""),
        ("mAP", f"{metrics.map:.1f} %", ""),
        ("Gallery", f"{len(evaluation.embeddings.records):,}", f"images of {evaluation.people:,} people"),
        ("Queries", f"{metrics.queries:,}", f"{metrics.queries_without_match} without a match"),
    ]
    if evaluation.colour_swap is not None:
        figures.append(
            (
                "Colour swap",
                f"{evaluation.colour_swap:.1f} %",
                "captions that score above the same with a colour swapped",
            )
        )
    return "".join(
        f'<div class="figure"><span>{name}</span><b>{value}</b><small>{note}</small></div>'
        for name, value, note in figures
    )


def _chance(evaluation: Evaluation) -> float:
    """Expected R@1, in percent, of a gallery in random order."""
    people, person_of_image = np.unique(evaluation.embeddings.image_ids, return_inverse=True)
    images_P = np.bincount(person_of_image, minlength=len(people))
    images_of_query = images_P[person_of_image[evaluation.embeddings.image_of_caption]]
    return 100.0 * float(images_of_query.mean()) / len(person_of_image)


def _directions(evaluation: Evaluation) -> str:
    def row(name: str, metrics: RetrievalMetrics) -> list[str]:
        figures = (metrics.r1, metrics.r5, metrics.r10, metrics.map, metrics.minp)
        return [name, *(f"{figure:.2f}" for figure in figures)]

    rows = [row("text → image", evaluation.text_to_image), row("image → text", evaluation.image_to_text)]
    return table(["Direction, %", "R@1", "R@5", "R@10", "mAP", "mINP"], rows)


def _curve(series: dict[str, Sequence[float]]) -> str:
    """R@k for k = 1 … SHOWN_RANKS, as inline SVG."""

    def point(rank: int, value: float) -> str:
        x = MARGIN + (rank - 1) / (SHOWN_RANKS - 1) * (CHART_WIDTH - 2 * MARGIN)
        return f"{x:.1f},{CHART_HEIGHT - MARGIN - value / 100 * (CHART_HEIGHT - 2 * MARGIN):.1f}"

    grid = "".join(
        f'<polyline class="grid" points="{point(1, level)} {point(SHOWN_RANKS, level)}"/>'
        f'<text x="4" y="{point(1, level).split(",")[1]}">{level}</text>'
        for level in (0, 25, 50, 75, 100)
    )
    ticks = "".join(
        f'<text x="{point(rank, 0).split(",")[0]}" y="{CHART_HEIGHT - 12}">{rank}</text>' for rank in (1, 5, 10, 15, 20)
    )
    lines = "".join(
        f'<polyline class="series{index}" points="{" ".join(map(point, range(1, SHOWN_RANKS + 1), values))}"/>'
        f'<text class="series{index}" x="{MARGIN + 110 * index}" y="16">{escape(name)}</text>'
        for index, (name, values) in enumerate(series.items())
    )
    label = "Cumulative match curve: share of queries with a right image among the k best"
    return f'<svg viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" aria-label="{label}">{grid}{ticks}{lines}</svg>'


def _example(example: Example) -> str:
    pictures = "".join(_picture(picture, "right" if picture.right else "wrong") for picture in example.candidates)
    return (
        f'<article><p class="caption">“{escape(example.caption)}”</p><div class="row">'
        f"{_picture(example.described, 'described')}{pictures}</div>"
        f"<small>First right image at rank {example.first_rank:,}.</small></article>"
    )


def _picture(picture: Picture, kind: str) -> str:
    image = f'<img src="{picture.source}" alt="{kind}">'
    return f'<figure class="{kind}">{image}<figcaption>{picture.score:.3f}</figcaption></figure>'


def _slice_table(name: str, slices: Sequence[Slice]) -> str:
    if not slices:
        return f"<p>{escape(name)}: unknown.</p>"
    head = [name, "Queries", "R@1, %", "", "R@10, %", "mAP, %"]
    rows = [
        [escape(part.value), f"{part.queries:,}", f"{part.r1:.1f}", bar(part.r1), f"{part.r10:.1f}", f"{part.map:.1f}"]
        for part in slices
    ]
    return table([escape(cell) for cell in head], rows)


def _calibration(calibration: Calibration) -> str:
    rows = [
        [
            "Fitted on",
            f"{calibration.queries:,} captions of split {escape(calibration.split)}, with and without their person",
        ],
        ["Gallery sizes", ", ".join(f"{images:,.0f}" for images in calibration.galleries) + " images"],
        ["Expected calibration error", f"{calibration.expected_calibration_error:.3f}"],
        ["Reliable from a confidence of", f"{calibration.threshold:.2f}"],
        ["Best candidates called reliable that are right", f"{100 * calibration.precision:.1f} %"],
        [
            "Searches called reliable, somebody who fits in the gallery",
            f"{100 * calibration.reliable_when_present:.1f} %",
        ],
        ["Searches called reliable, nobody who fits in the gallery", f"{100 * calibration.reliable_when_absent:.1f} %"],
    ]
    return table(["Confidence", ""], rows) + _kinds(calibration)


def _kinds(calibration: Calibration) -> str:
    kinds = {"Captions: one person is right": calibration.captions, "Short queries": calibration.short_queries}
    kinds |= {OTHER_KINDS[kind]: rates for kind, rates in calibration.kinds.items()}
    head = ["Kind", "Searches", "Log loss", "AUC", "Right of those called reliable, %"]
    head += ["Right ones called reliable, %", "Absent ones called reliable, %"]
    rows = [
        [name, f"{one.queries:,}", f"{one.log_loss:.3f}", f"{one.auc:.3f}"]
        + [f"{100 * share:.1f}" for share in (one.precision, one.right_reliable, one.absent_reliable)]
        for name, one in kinds.items()
        if one is not None
    ]
    return table(head, rows) if rows else ""


def _lineage(bundle: Bundle, dataset: Dataset, config: EvaluateConfig) -> str:
    spec = bundle.spec
    size = f"{spec.preprocessing.height}×{spec.preprocessing.width} pixels, {spec.context_length} tokens"
    rows = [
        ["Method", f"{spec.method} ({spec.variant})"],
        ["Fingerprint", bundle.fingerprint],
        ["Input", f"{size}, {spec.embedding_dim} dimensions"],
        ["Trained on", spec.lineage.dataset_hash],
        ["Measured on", f"{dataset.hash}, split {config.split}"],
        ["Code", spec.lineage.git_commit],
        ["Run", spec.lineage.run_id],
        ["Parent", spec.lineage.parent],
    ]
    return table(["Model", ""], [[name, escape(value) or "–"] for name, value in rows])


def pick_examples(
    dataset: Path, embeddings: SplitEmbeddings, ranks: QueryRanks, *, right: bool, most: int
) -> list[Example]:
    """At most `most` queries, evenly spread over those whose best candidate is right, or wrong."""
    pool = np.flatnonzero((ranks.first_rank == 1) if right else (ranks.first_rank > 1))
    if len(pool) == 0 or most == 0:
        return []
    chosen = pool[np.unique(np.linspace(0, len(pool) - 1, min(most, len(pool))).astype(int))]
    indices, scores = top_candidates(embeddings.text_QD[chosen], embeddings.image_GD, SHOWN_CANDIDATES)
    return [
        _make_example(dataset, embeddings, int(query), int(ranks.first_rank[query]), list(zip(row, best, strict=True)))
        for query, row, best in zip(chosen, indices.tolist(), scores.tolist(), strict=True)
    ]


def thumbnail(picture: Path | bytes) -> str:
    """A small JPEG as a data URL, to embed in the page."""
    image = open_image(picture)
    image.thumbnail((THUMBNAIL[1], THUMBNAIL[0]), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _make_example(
    dataset: Path, embeddings: SplitEmbeddings, query: int, first_rank: int, best: list[tuple[int, float]]
) -> Example:
    described = int(embeddings.image_of_caption[query])
    person = embeddings.records[described].person_id

    def shown(record: ImageRecord, score: float) -> Picture:
        return Picture(thumbnail(picture(dataset, record.path)), score, record.person_id == person)

    own_score = float(embeddings.text_QD[query] @ embeddings.image_GD[described])
    return Example(
        caption=embeddings.captions[query],
        described=shown(embeddings.records[described], own_score),
        first_rank=first_rank,
        candidates=[shown(embeddings.records[index], score) for index, score in best],
    )
