"""An encoder that knows colours and nothing else: enough to have right and wrong answers without a trained model.

A picture's vector is the share of each known colour in it; a text's vector are the colours it names.
Shapes: N items, H height, W width, C known colours (= D, the embedding dimension).
"""

import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from personsearch.bundle import Preprocessing
from personsearch.gallery.store import Gallery
from personsearch.images import open_image, resize
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.calibration import Calibration, Curve
from personsearch.search.crop import BoundingBox
from personsearch.search.exact import ExactStore
from personsearch.search.index import CollectionProperties
from personsearch.search.searcher import Searcher
from serving.index_search import IndexSearch
from serving.metrics import Metrics
from serving.query_encoder import QueryEncoder
from tests.crops import make_crop

COLOURS = ("red", "green", "blue", "yellow", "black", "white")
CAMERAS = ("junction", "north-door")
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
CROPS_PER_TRACK = 3
WORDS_READ = 40
CALIBRATION = Calibration(
    curve=Curve(intercept=-12.0, score=20.0, lead=0.0, log_tracks=0.0),
    threshold=0.5,
    split="test",
    queries=6,
    galleries=(6.0,),
    expected_calibration_error=0.0,
    precision=1.0,
    reliable_when_present=1.0,
    reliable_when_absent=0.0,
)
PALETTE_C3 = np.array([ImageColor.getrgb(colour) for colour in COLOURS], dtype=np.float32)


class ColourEncoder:
    """An Encoder whose space has one axis per colour."""

    preprocessing = Preprocessing(height=32, width=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    embedding_dim = len(COLOURS)

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        count, height, width, _ = pixels_NHW3.shape
        flat_NP3 = pixels_NHW3.reshape(count, height * width, 3).astype(np.float32)
        distance_NPC = np.linalg.norm(flat_NP3[:, :, None] - PALETTE_C3, axis=-1)
        nearest_NP = distance_NPC.argmin(-1)
        near_NP = distance_NPC.min(-1) < 60
        share_NC = np.stack([((nearest_NP == c) & near_NP).mean(1) for c in range(len(COLOURS))], axis=1)
        return _unit(share_NC)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counts = [[text.lower().split().count(colour) for colour in COLOURS] for text in texts]
        return _unit(np.array(counts).reshape(-1, len(COLOURS)))

    def text_cut_after(self, text: str) -> int | None:
        words = list(re.finditer(r"\S+", text))
        return words[WORDS_READ - 1].end() if len(words) > WORDS_READ else None


def _unit(weights_NC: NDArray[np.generic]) -> NDArray[np.float32]:
    weights_NC = weights_NC.astype(np.float32) + 1e-3
    return (weights_NC / np.linalg.norm(weights_NC, axis=1, keepdims=True)).astype(np.float32)


def figure(colour: str) -> bytes:
    """A person in a coat of one colour, as JPEG."""
    image = Image.new("RGB", (64, 128), "grey")
    draw = ImageDraw.Draw(image)
    draw.ellipse((24, 8, 40, 26), fill="peachpuff")
    draw.rectangle((16, 28, 48, 84), fill=colour)
    draw.rectangle((20, 84, 30, 120), fill="dimgrey")
    draw.rectangle((34, 84, 44, 120), fill="dimgrey")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def add_figures(folder: Path, colours: Sequence[str], *, first: int = 0) -> Gallery:
    """One track per colour, three crops each, cameras in turn, a minute apart."""
    gallery = gallery_in(folder)
    crops = []
    for number, colour in enumerate(colours, start=first):
        for step in range(CROPS_PER_TRACK):
            at = START + timedelta(minutes=number, seconds=step)
            crop = make_crop(
                f"{colour}-{number}-{step}",
                camera_id=CAMERAS[number % len(CAMERAS)],
                captured_at=at,
                track_id=f"track/{number}",
                bbox=BoundingBox(10 * step, 20, 64, 128),
                quality=0.9,
                ingested_at=at,
            )
            crops.append((crop, figure(colour)))
    gallery.add(crops)
    return gallery


def build_collection(store: ExactStore, gallery: Gallery, name: str, *, version: str = "1") -> None:
    """Every crop of the gallery in a new collection."""
    encoder = ColourEncoder()
    properties = CollectionProperties("colours", version, f"fingerprint-{version}", "data", encoder.embedding_dim)
    index = store.create(name, properties)
    crops = list(gallery.crops())
    size = (encoder.preprocessing.height, encoder.preprocessing.width)
    pixels = np.stack([resize(open_image(gallery.picture(crop)), *size) for crop in crops])
    index.upsert(crops, encoder.encode_images(pixels))


class ColourSource:
    """A LiveSource over an ExactStore; `broken` collections cannot be loaded, `down` loses the store."""

    def __init__(self, store: ExactStore, gallery: Gallery, *, calibrated: bool = True) -> None:
        self.store = store
        self.gallery = gallery
        self.calibration = CALIBRATION if calibrated else None
        self.broken: set[str] = set()
        self.down = False

    def target(self) -> str | None:
        if self.down:
            raise ConnectionError("Milvus is out of reach")
        return self.store.alias_target("persons")

    def load(self, mirror_memory: int = 2**30) -> IndexSearch:
        collection = self.store.alias_target("persons")
        assert collection is not None
        if collection in self.broken:
            raise ValueError("golden vectors differ")
        encoder = QueryEncoder(ColourEncoder(), metrics=Metrics())
        searcher = Searcher(encoder, self.store.open(collection), self.calibration)
        return IndexSearch(
            collection, self.store.properties(collection), searcher, self.gallery, mirror_memory=mirror_memory
        )
