"""What smaller vectors cost: retrieval metrics against bytes per crop, and the time of a search.

One image of each test person is the query for the person's other images, and so are its captions. The rest of the data
set are distractors. Each coding is searched in an ExactIndex, as in the service's mirror, for the smallest number of
results that a searcher requests. Codings alternate query by query, so that all run under the same load. A second table
searches 100,000 random vectors with the mean and covariance of the real ones; without the clusters that people form in
a gallery, their neighbours are harder to tell apart than real ones.

    python benchmarks/vectors.py [BUNDLE] [--dataset PREPARED] [--distractors 2000] [--random 100000]

Shapes: Q queries, G crops of the gallery, N random crops, D embedding dimension.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.people import prepare_people

from personsearch.bundle import Bundle
from personsearch.data.records import dataset_hash, read_manifest
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.embeddings import embed_records
from personsearch.gallery.indexing import CENTRE_SAMPLE
from personsearch.gallery.verification import PROBE_TEXTS
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.index import Hit
from personsearch.search.quantised import FLOAT32, Centres, Coding
from personsearch.search.searcher import JUDGED

CACHE = Path("var/benchmark-vectors")
PEOPLE = SynthesizeConfig(
    identities_train=500, identities_val=0, identities_test=250, images_per_identity=4, seed=91, workers=2
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CROP = Crop("", "", NOON, "", "", BoundingBox(0, 0, 64, 128), "", 1.0, NOON)
RECALL_AT = 10
TIMED_QUERIES = 100


@dataclass(frozen=True)
class People:
    """A gallery, text and image queries for people in it, and the centres of images and texts."""

    gallery_GD: NDArray[np.float32]
    gallery_ids: NDArray[np.int64]
    text_QD: NDArray[np.float32]
    text_ids: NDArray[np.int64]
    image_QD: NDArray[np.float32]
    image_ids: NDArray[np.int64]
    centres: Centres


@dataclass(frozen=True)
class Way:
    """A coding of vectors; `halved` rounds them to float16 first, which takes half of float32's bytes."""

    name: str
    coding: Coding
    halved: bool = False

    def index(self, vectors_GD: NDArray[np.float32]) -> ExactIndex:
        if self.halved:
            vectors_GD = unit(vectors_GD.astype(np.float16).astype(np.float32))
        index = ExactIndex(vectors_GD.shape[1], self.coding)
        index.upsert([replace(CROP, crop_id=f"{row:07d}") for row in range(len(vectors_GD))], vectors_GD)
        return index

    def bytes_of(self, index: ExactIndex) -> float:
        """Bytes per crop."""
        return index.vector_bytes / index.count() / (2 if self.halved else 1)


def main() -> None:
    """Read the command line, embed, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("weights/tiny-clip"))
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--distractors", type=int, default=2000)
    parser.add_argument("--random", type=int, default=100_000)
    arguments = parser.parse_args()

    people = embed(arguments.bundle, arguments.dataset or prepare_people(PEOPLE, CACHE), arguments.distractors)
    print(f"{len(people.gallery_GD):,} crops of {people.gallery_GD.shape[1]} numbers, {len(people.text_QD):,} texts\n")
    print_quality(people)
    print(f"\n{arguments.random:,} random vectors\n")
    print_speed(people, arguments.random)


def ways(centres: Centres) -> list[Way]:
    """float32 first; the last one shows what is lost if bits are relative to zero."""
    binary = [Way(f"binary, oversampling {times}", Coding("binary", times, centres)) for times in (1, 2, 4, 10)]
    about_zero = Way("binary about zero, oversampling 10", Coding("binary", 10))
    return [
        Way("float32", FLOAT32),
        Way("float16", FLOAT32, halved=True),
        Way("int8", Coding("int8")),
        *binary,
        about_zero,
    ]


def print_quality(people: People) -> None:
    """Print R@1, R@10 and mAP, the recall of float32's ten best, and the largest error of a text query's score."""
    columns = f"text R@1 | R@10 | mAP | recall@{RECALL_AT} | score error | image R@1 | mAP | recall@{RECALL_AT}"
    print(f"| vectors | bytes/crop | {columns} |\n|---|---|---|---|---|---|---|---|---|---|")
    best: list[list[list[Hit]]] = []
    for way in ways(people.centres):
        index = way.index(people.gallery_GD)
        found = [index.search(queries, JUDGED) for queries in (people.text_QD, people.image_QD)]
        best = best or found
        texts = quality(found[0], people.text_ids, people.gallery_ids)
        images = quality(found[1], people.image_ids, people.gallery_ids)
        of_texts, of_images = (recall(hits, exact) for hits, exact in zip(found, best, strict=True))
        error = score_error(found[0], people)
        print(
            f"| {way.name} | {way.bytes_of(index):.0f} | {texts[0]:.1f} | {texts[1]:.1f} | {texts[2]:.1f} "
            f"| {of_texts:.3f} | {error:.4f} | {images[0]:.1f} | {images[2]:.1f} | {of_images:.3f} |"
        )


def print_speed(people: People, count: int) -> None:
    """Print milliseconds per search and the recall of float32's ten best."""
    random_ND = like(people.gallery_GD, count)
    queries_QD = people.text_QD[:: max(1, len(people.text_QD) // TIMED_QUERIES)][:TIMED_QUERIES]
    chosen = ways(people.centres)
    indexes = [way.index(random_ND) for way in chosen]
    found: list[list[list[Hit]]] = [[] for _ in indexes]
    seconds: list[list[float]] = [[] for _ in indexes]
    for query_D in queries_QD:
        for number, index in enumerate(indexes):
            start = time.perf_counter()
            found[number] += index.search(query_D[None], JUDGED)
            seconds[number].append(time.perf_counter() - start)
    print(f"| vectors | MB of vectors | ms (median) | recall@{RECALL_AT} |\n|---|---|---|---|")
    for way, index, hits, times in zip(chosen, indexes, found, seconds, strict=True):
        megabytes = way.bytes_of(index) * count / 1e6
        milliseconds = "as float32" if way.halved else f"{np.median(times) * 1000:.1f}"
        print(f"| {way.name} | {megabytes:.0f} | {milliseconds} | {recall(hits, found[0]):.3f} |")


def quality(
    found: Sequence[Sequence[Hit]], ids: NDArray[np.int64], gallery_ids: NDArray[np.int64]
) -> tuple[float, float, float]:
    """R@1, R@10 and mAP in percent; matches beyond the results count as not found."""
    firsts, precisions = [], []
    for hits, person in zip(found, ids, strict=True):
        right = np.array([gallery_ids[int(hit.crop.crop_id)] == person for hit in hits])
        ranks = np.flatnonzero(right) + 1
        firsts.append(ranks[0] if len(ranks) else JUDGED + 1)
        matches = int((gallery_ids == person).sum())
        precisions.append(float((np.arange(1, len(ranks) + 1) / ranks).sum() / matches))
    first_Q = np.array(firsts)
    return 100 * float((first_Q == 1).mean()), 100 * float((first_Q <= 10).mean()), 100 * float(np.mean(precisions))


def recall(found: Sequence[Sequence[Hit]], best: Sequence[Sequence[Hit]]) -> float:
    """Share of the RECALL_AT best crops that are among the first RECALL_AT found."""
    shares = [
        len({hit.crop.crop_id for hit in hits[:RECALL_AT]} & {hit.crop.crop_id for hit in exact[:RECALL_AT]})
        for hits, exact in zip(found, best, strict=True)
    ]
    return float(np.mean(shares)) / RECALL_AT


def score_error(found: Sequence[Sequence[Hit]], people: People) -> float:
    """The largest difference between a text query's score and the cosine of float vectors."""
    return max(
        abs(hit.score - float(people.gallery_GD[int(hit.crop.crop_id)] @ text_D))
        for text_D, hits in zip(people.text_QD, found, strict=True)
        for hit in hits
    )


def embed(bundle: Path, dataset: Path, distractors: int) -> People:
    """The first image of each test person is a query; the centres are measured as in an index build."""
    encoder = load_encoder(Bundle.open(bundle))
    records = read_manifest(dataset)
    test = [record for record in records if record.split == "test"]
    others = [replace(record, captions=[]) for record in records if record.split != "test"][:distractors]
    folder = CACHE / f"{Bundle.open(bundle).fingerprint[:12]}-{dataset_hash(dataset)[:12]}-{distractors}"
    embedded = embed_records(encoder, dataset, [*test, *others], folder)
    ids_G = embedded.image_ids
    asking_G = np.zeros(len(ids_G), dtype=bool)
    asking_G[np.unique(ids_G, return_index=True)[1]] = True
    asking_G[len(test) :] = False
    gallery_GD = embedded.image_GD[~asking_G]
    texts_Q = asking_G[embedded.image_of_caption]
    sample_ND = gallery_GD[:: max(1, len(gallery_GD) // CENTRE_SAMPLE)][:CENTRE_SAMPLE]
    return People(
        gallery_GD,
        ids_G[~asking_G],
        embedded.text_QD[texts_Q],
        embedded.caption_ids[texts_Q],
        embedded.image_GD[asking_G],
        ids_G[asking_G],
        Centres.of(sample_ND, encoder.encode_texts(PROBE_TEXTS)),
    )


def like(vectors_GD: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Random unit vectors with the same mean and covariance."""
    generator = np.random.default_rng(0)
    values, axes = np.linalg.eigh(np.cov(vectors_GD.T))
    drawn_ND = generator.normal(size=(count, len(values))) * np.sqrt(values.clip(0))
    return unit((drawn_ND @ axes.T + vectors_GD.mean(axis=0)).astype(np.float32))


def unit(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    unit_ND: NDArray[np.float32] = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return unit_ND


if __name__ == "__main__":
    main()
