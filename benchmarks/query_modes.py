"""What each way of asking finds, on the test people of a synthetic data set: words, several descriptions, a picture,
both, and words with something excluded.

    python benchmarks/query_modes.py [BUNDLE] [--dataset PREPARED] [--people 240]

The first image of each person is the query picture, and its captions are the descriptions; the gallery is everybody's
other images. Shapes: P people, G images of the gallery, D embedding dimension.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.people import prepare_people

from personsearch.bundle import Bundle
from personsearch.data.records import ImageRecord, read_manifest
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.embeddings import decode_records
from personsearch.search import query
from personsearch.search.query import combined

CACHE = Path("var/benchmark-query-modes")
PEOPLE = SynthesizeConfig(
    identities_train=4, identities_val=4, identities_test=240, images_per_identity=4, seed=92, workers=1
)
BATCH = 64
WEIGHTS = (0.25, 0.5, 0.75)
# the attribute, and its value; any but "none" where that is empty
EXCLUDED = {
    "a backpack": ("bag", "backpack"),
    "a bag": ("bag", ""),
    "a hat": ("headwear", ""),
    "glasses": ("eyewear", ""),
}
QUERIES = ("a man in a dark jacket", "a woman in a red top", "a person in blue jeans", "someone in a white shirt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("bundle", nargs="?", type=Path, default=Path("weights/tiny-clip"))
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--people", type=int, default=240)
    given = parser.parse_args()
    dataset = given.dataset or prepare_people(PEOPLE, CACHE)
    encoder = load_encoder(Bundle.open(given.bundle))
    by_person: dict[int, list[ImageRecord]] = {}
    for record in read_manifest(dataset, "test"):
        by_person.setdefault(record.person_id, []).append(record)
    chosen = [images for images in by_person.values() if len(images) > 1][: given.people]
    asked = [images[0] for images in chosen]
    gallery = [image for images in chosen for image in images[1:]]
    image_GD = _embed(encoder, dataset, gallery)
    picture_PD = _embed(encoder, dataset, asked)
    _print_found(encoder, asked, gallery, picture_PD, image_GD)
    _print_excluded(encoder, gallery, image_GD)


def _embed(encoder: Encoder, dataset: Path, records: list[ImageRecord]) -> NDArray[np.float32]:
    starts = range(0, len(records), BATCH)
    parts = (decode_records(dataset, records[start : start + BATCH], encoder.preprocessing) for start in starts)
    return np.concatenate([encoder.encode_images(pixels_NHW3) for pixels_NHW3 in parts])


def _spread(image_GD: NDArray[np.float32]) -> query.Spread:
    return lambda vector_D: float((image_GD @ vector_D).std())


def _print_found(
    encoder: Encoder,
    asked: list[ImageRecord],
    gallery: list[ImageRecord],
    picture_PD: NDArray[np.float32],
    image_GD: NDArray[np.float32],
) -> None:
    people_G = np.array([record.person_id for record in gallery])
    spread, none = _spread(image_GD), np.empty((0, image_GD.shape[1]), np.float32)
    rows: dict[str, list[NDArray[np.float32]]] = {}
    for record, picture_D in zip(asked, picture_PD, strict=True):
        text_ND = encoder.encode_texts(record.captions[:2])
        rows.setdefault("one description", []).append(combined(text_ND[:1], none, None, 0.5, spread))
        rows.setdefault("two descriptions", []).append(combined(text_ND, none, None, 0.5, spread))
        rows.setdefault("a picture", []).append(combined(none, none, picture_D, 0.5, spread))
        for weight in WEIGHTS:
            vector_D = combined(text_ND[:1], none, picture_D, weight, spread)
            rows.setdefault(f"one description and a picture, weight {weight}", []).append(vector_D)
    print(f"{len(asked)} people, {len(gallery)} images\n\n| query | R@1 | R@5 |\n|---|---|---|")
    for name, vectors in rows.items():
        order_PG = np.argsort(-(np.stack(vectors) @ image_GD.T), axis=1)
        right_PG = people_G[order_PG] == np.array([record.person_id for record in asked])[:, None]
        print(f"| {name} | {right_PG[:, :1].any(1).mean():.1%} | {right_PG[:, :5].any(1).mean():.1%} |")


def _print_excluded(encoder: Encoder, gallery: list[ImageRecord], image_GD: NDArray[np.float32]) -> None:
    spread, none = _spread(image_GD), np.empty((0, image_GD.shape[1]), np.float32)
    known = [json.loads(record.attributes or "{}") for record in gallery]
    print("\n| excluded | has it, of all | of the first ten, not excluded | in words | excluded, weight .25 | .5 | 1 |")
    print("|---|---|---|---|---|---|---|")
    for phrase, (field, value) in EXCLUDED.items():
        found = [each.get(field, "none") for each in known]
        has_G = np.array([each == value if value else each != "none" for each in found])
        without_1D = encoder.encode_texts([f"a person with {phrase}"])
        shares: dict[str, list[float]] = {}
        for text in QUERIES:
            plain_1D, said_1D = encoder.encode_texts([text]), encoder.encode_texts([f"{text} without {phrase}"])
            vectors = {"plain": combined(plain_1D, none, None, 0.5, spread), "words": said_1D[0]}
            for weight in (0.25, 0.5, 1.0):
                query.WITHOUT_WEIGHT = weight
                vectors[str(weight)] = combined(plain_1D, without_1D, None, 0.5, spread)
            for name, vector_D in vectors.items():
                shares.setdefault(name, []).append(float(has_G[np.argsort(-(image_GD @ vector_D))[:10]].mean()))
        told = " | ".join(f"{np.mean(values):.0%}" for values in shares.values())
        print(f"| {phrase} | {has_G.mean():.0%} | {told} |")


if __name__ == "__main__":
    main()
