"""A small video of two people who walk past a camera, and their crops as ingest makes them."""

import io
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from personsearch.gallery.ingest import ledger
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.crop import BoundingBox
from tests.crops import make_crop
from tests.serving.colours import START, figure

FRAMES_PER_SECOND = 10


@dataclass(frozen=True)
class Walk:
    """People by the colour of their coats; each walks to the right along a row of their own."""

    coats: tuple[str, ...] = ("red", "green")
    frames: int = 60
    size: tuple[int, int] = (480, 320)

    def box(self, number: int, frame: int) -> BoundingBox:
        return BoundingBox(10 + 5 * frame, 20 + 150 * number, 64, 128)

    def picture(self, frame: int) -> Image.Image:
        scene = Image.linear_gradient("L").resize(self.size).convert("RGB")
        for number, coat in enumerate(self.coats):
            box = self.box(number, frame)
            scene.paste(Image.open(io.BytesIO(figure(coat))), (box.x, box.y))
        return scene


WALK = Walk()
SEEN = ((0, 10), (0, 25), (0, 40), (1, 20))
CROPS = tuple(f"junction-20260301T090000-{number + 1:04d}-f{frame:06d}" for number, frame in SEEN)


def add_walk(folder: Path, videos: Path) -> Gallery:
    """The crops of `SEEN`, and their video, in which they can be found again."""
    videos.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(videos / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), FRAMES_PER_SECOND, WALK.size)
    for frame in range(WALK.frames):
        writer.write(np.asarray(WALK.picture(frame))[..., ::-1])
    writer.release()
    gallery = gallery_in(folder)
    with gallery.rows.turn() as turn:
        ledger.begin(turn, ledger.VideoEntry("junction", START, "0" * 64, "{}"))
    crops = []
    for (number, frame), crop_id in zip(SEEN, CROPS, strict=True):
        box = WALK.box(number, frame)
        at = START + timedelta(seconds=frame / FRAMES_PER_SECOND)
        crop = make_crop(
            crop_id,
            camera_id="junction",
            captured_at=at,
            track_id=crop_id.rpartition("-")[0],
            bbox=box,
            frame_uri=f"walk.avi#frame={frame}",
            quality=0.9,
            ingested_at=at,
        )
        cut = WALK.picture(frame).crop((box.x, box.y, box.x + box.width, box.y + box.height))
        buffer = io.BytesIO()
        cut.save(buffer, "JPEG", quality=92)
        crops.append((crop, buffer.getvalue()))
    gallery.add(crops)
    return gallery
