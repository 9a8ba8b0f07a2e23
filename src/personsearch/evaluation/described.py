"""People described in footage: who can be seen in which clip, where, and in what words (docs/footage-search.md)."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, StringConstraints, model_validator

from personsearch.config import Config
from personsearch.errors import UserError, check_exists
from personsearch.gallery.ingest.boxes import overlap
from personsearch.gallery.ingest.video import VideoInfo
from personsearch.search.crop import Crop

SAME_PERSON_OVERLAP = 0.4
NEAR_SECONDS = 0.5
LONGEST_GAP_SECONDS = 6.0
LEAST_SHARE_OF_FRAME = 0.45  # height of somebody of whom only the time is known, relative to the frame

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Box = tuple[float, float, float, float]


class DescribedPerson(Config):
    """A person in a clip, as witnesses would describe them; either `boxes` or `frames` says where they can be seen."""

    clip: str
    """The video's file name, relative to the folder of the clips."""

    descriptions: tuple[Text, ...] = Field(min_length=1)
    """Each is searched for."""

    boxes: tuple[tuple[int, Box], ...] = ()
    """Frame and box: left, top, right, bottom in pixels."""

    frames: tuple[int, int] | None = None
    """First and last frame of somebody who is alone in the picture for that time."""

    @model_validator(mode="after")
    def _says_where(self) -> "DescribedPerson":
        if bool(self.boxes) == (self.frames is not None):
            raise ValueError("either boxes or frames expected")
        if self.frames is not None and not 0 <= self.frames[0] <= self.frames[1]:
            raise ValueError(f"frames {list(self.frames)}: the first and the last frame expected")
        for frame, (left, top, right, bottom) in self.boxes:
            if frame < 0 or not (left < right and top < bottom):
                box = [left, top, right, bottom]
                raise ValueError(f"box {box} of frame {frame}: left, top, right, bottom in pixels expected")
        return self

    def is_shown(self, crop: Crop, info: VideoInfo) -> bool:
        """Whether a crop of this clip was taken around the person."""
        frame = int(crop.frame_uri.rpartition("=")[2])
        if self.frames is not None:
            return self.frames[0] <= frame <= self.frames[1] and crop.bbox.height >= LEAST_SHARE_OF_FRAME * info.height
        box = crop.bbox
        taken = np.array([[box.x, box.y, box.x + box.width, box.y + box.height]], dtype=float)
        expected = self._boxes_at(frame, info.frames_per_second)
        return bool(expected) and bool(overlap(taken, np.array(expected)).max() >= SAME_PERSON_OVERLAP)

    def _boxes_at(self, frame: int, frames_per_second: float) -> list[Box]:
        """The boxes described nearby, and the one between two of them: there the person moves evenly."""
        known = sorted(self.boxes)
        boxes = [box for at, box in known if abs(at - frame) <= NEAR_SECONDS * frames_per_second]
        for (first, start), (last, end) in pairwise(known):
            if first < frame < last <= first + LONGEST_GAP_SECONDS * frames_per_second:
                share = (frame - first) / (last - first)
                left, top, right, bottom = (a + share * (b - a) for a, b in zip(start, end, strict=True))
                boxes.append((left, top, right, bottom))
        return boxes


class DescribedFootage(Config):
    """Described people of several clips."""

    note: str = ""
    """For readers."""

    people: tuple[DescribedPerson, ...] = Field(min_length=1)
    """Who can be seen in the clips."""

    absent: tuple[Text, ...] = ()
    """Descriptions of people who are in none of the clips."""

    @model_validator(mode="before")
    @classmethod
    def _join(cls, values: Any) -> Any:
        """Take `one_at_a_time`, where people are alone in the picture, as people too, and `description` as one text."""
        if not isinstance(values, dict):
            return values
        kept = {name: value for name, value in values.items() if name != "one_at_a_time"}
        lists = [values.get(name) or [] for name in ("people", "one_at_a_time")]
        if not all(isinstance(each, list | tuple) for each in lists):
            raise ValueError("people: a list expected")
        people = [person for each in lists for person in each]
        return kept | {"people": [_with_descriptions(person) for person in people]}

    @property
    def clips(self) -> list[str]:
        """The clips that show the people, by name."""
        return sorted({person.clip for person in self.people})


def read_described(path: Path) -> DescribedFootage:
    """Read people.json.

    Raises:
        UserError: it cannot be read, or is not in the format.
    """
    check_exists(path, "people described in footage (docs/footage-search.md)")
    if not path.is_file():
        raise UserError(f"{path}: not a file; people described in footage expected (docs/footage-search.md)")
    return DescribedFootage.from_yaml(path)  # every JSON file is YAML


def _with_descriptions(person: Any) -> Any:
    if not isinstance(person, dict) or "description" not in person:
        return person
    kept = {name: value for name, value in person.items() if name != "description"}
    return {"descriptions": [person["description"]]} | kept
