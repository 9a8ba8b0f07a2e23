"""The embeddings of one split: every image and caption once, encoded in parts that survive a kill.

Shapes: G images, Q captions, D embedding dimension.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import Preprocessing
from personsearch.data.records import ImageRecord
from personsearch.data.shards import picture
from personsearch.encoders.encoder import Encoder
from personsearch.errors import UserError
from personsearch.files import replacing
from personsearch.images import open_image, resize
from personsearch.progress import track

PART = 512
DECODING_THREADS = 2

T = TypeVar("T")


@dataclass(frozen=True)
class SplitEmbeddings:
    """Images in the manifest's order, captions in the order of their images."""

    records: Sequence[ImageRecord]
    captions: list[str]
    image_of_caption: NDArray[np.int64]
    image_GD: NDArray[np.float32]
    text_QD: NDArray[np.float32]

    @property
    def image_ids(self) -> NDArray[np.int64]:
        """The person of each image [G]."""
        return np.array([record.person_id for record in self.records], dtype=np.int64)

    @property
    def caption_ids(self) -> NDArray[np.int64]:
        """The person of each caption [Q]."""
        return self.image_ids[self.image_of_caption]


def embed_records(
    encoder: Encoder, dataset: Path, records: Sequence[ImageRecord], folder: Path, *, label: str = ""
) -> SplitEmbeddings:
    """Encode the images and captions of a split, except for the parts that `folder` already holds.

    Name `folder` after model, data set and split: its contents are not checked. Progress starts with `label`.

    Raises:
        UserError: the split has no captions, or an image cannot be decoded.
    """
    captions = [caption for record in records for caption in record.captions]
    if not captions:
        raise UserError(f"{dataset}: no captions on the split's {len(records)} images; nothing to evaluate")
    image_of_caption = np.repeat(np.arange(len(records)), [len(record.captions) for record in records])

    def encode_records(part: Sequence[ImageRecord]) -> NDArray[np.float32]:
        return encoder.encode_images(decode_records(dataset, part, encoder.preprocessing))

    whose = f"{label}: " if label else ""
    image_GD = _in_parts(records, encode_records, folder / "image", f"{whose}encode images")
    text_QD = _in_parts(captions, encoder.encode_texts, folder / "text", f"{whose}encode captions")
    return SplitEmbeddings(records, captions, image_of_caption, image_GD, text_QD)


def _in_parts(
    items: Sequence[T], encode: Callable[[Sequence[T]], NDArray[np.float32]], folder: Path, description: str
) -> NDArray[np.float32]:
    parts = []
    for start in track(range(0, len(items), PART), description):
        path = folder / f"{start:09d}.npy"
        if not path.is_file():
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, encode(items[start : start + PART]))
        parts.append(np.load(path, allow_pickle=False))
    return np.concatenate(parts)


def decode_records(dataset: Path, records: Sequence[ImageRecord], size: Preprocessing) -> NDArray[np.uint8]:
    """The images' pixels [N, H, W, 3], resized as a model takes them.

    Raises:
        UserError: an image cannot be decoded.
    """

    def decode(record: ImageRecord) -> NDArray[np.uint8]:
        try:
            return resize(open_image(picture(dataset, record.path)), size.height, size.width, size.interpolation)
        except UserError as error:
            raise UserError(f"{dataset / record.path}: {error}; run `personsearch data prepare` again") from error

    with ThreadPoolExecutor(DECODING_THREADS) as threads:
        return np.stack(list(threads.map(decode, records)))
