"""One attempt to make a pair, cached by its content: image, caption, change and generator.

The cache folder holds `<key>.jpg` for an image that was made and `<key>.txt` with the reason for a refusal.
"""

import hashlib
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from personsearch.augmentation.pdg.consistency import colour_doubt
from personsearch.augmentation.pdg.generator import Change, GenerationRefused, Generator
from personsearch.augmentation.pdg.super_resolution import SuperResolution
from personsearch.data.image_files import JPEG_QUALITY
from personsearch.data.output_folder import input_key
from personsearch.data.records import ImageRecord
from personsearch.data.shards import picture
from personsearch.errors import UserError
from personsearch.files import replacing
from personsearch.images import open_image
from personsearch.processes import end_with_parent

ALGORITHM = "pdg-1"  # part of the cache's keys: raise it when the same attempt gives another outcome


@dataclass(frozen=True, slots=True)
class Attempt:
    """A record of the data set, one of its captions, and the change of that caption's first colour phrase."""

    record: ImageRecord
    caption: str
    change: Change


@dataclass(frozen=True, slots=True)
class Outcome:
    """The image, or the reason why there is none; with an image, `reason` is empty."""

    image: Path | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What attempts need; `identity` stands for the generator and its settings in the cache's keys."""

    dataset: Path
    cache: Path
    generator: Generator
    super_resolution: SuperResolution
    identity: str

    def make(self, attempt: Attempt) -> Outcome:
        """The outcome of an attempt, from the cache if an earlier run made it.

        Raises:
            UserError: the image cannot be decoded.
        """
        content = self._read(attempt.record)
        digest = hashlib.sha256(content).hexdigest()
        key = input_key(ALGORITHM, self.identity, digest, attempt.caption, asdict(attempt.change))
        made, refused = (self.cache / key[:2] / f"{key}{suffix}" for suffix in (".jpg", ".txt"))
        if made.is_file():
            return Outcome(made)
        if not refused.is_file():
            reason = self._make(content, attempt, made)
            if not reason:
                return Outcome(made)
            with replacing(refused) as temporary:
                temporary.write_text(reason, encoding="utf-8")
        return Outcome(None, refused.read_text(encoding="utf-8"))

    def _make(self, content: bytes, attempt: Attempt, path: Path) -> str:
        """Generate the image and store it; if it cannot be made or its colours are wrong, return the reason."""
        image = self.super_resolution.enlarge(np.asarray(open_image(content)), attempt.caption)
        try:
            edited = self.generator.generate(image, attempt.caption, attempt.change)
        except GenerationRefused as refusal:
            return str(refusal)
        if doubt := colour_doubt(image, edited, attempt.change):
            return doubt
        encoded = BytesIO()
        Image.fromarray(edited).save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        with replacing(path) as temporary:
            temporary.write_bytes(encoded.getvalue())
        return ""

    def _read(self, record: ImageRecord) -> bytes:
        try:
            stored = picture(self.dataset, record.path)
            content = stored if isinstance(stored, bytes) else stored.read_bytes()
            open_image(content)
        except (OSError, UserError) as error:
            raise UserError(f"{self.dataset / record.path}: {error}; run `personsearch data prepare` again") from error
        return content


_workshop: Workshop | None = None


def start_worker(workshop: Workshop) -> None:
    """Prepare a new process for `make_in_worker`; it exits when the process that started it dies, even of kill -9."""
    global _workshop  # noqa: PLW0603 a pool offers a worker no other place for its state
    _workshop = workshop
    cv2.setNumThreads(1)
    end_with_parent()


def make_in_worker(attempt: Attempt) -> Outcome:
    """`Workshop.make` in a process that `start_worker` has prepared."""
    assert _workshop is not None
    return _workshop.make(attempt)
