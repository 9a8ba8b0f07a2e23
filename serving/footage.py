"""Shows footage around crops, a few at a time: decoding video costs far more than other requests."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from personsearch.errors import UserError
from personsearch.gallery.footage import Footage, origin_of
from personsearch.gallery.frames import Sight, show_clip, show_frame
from personsearch.gallery.store import Gallery
from personsearch.search.crop import Crop

AT_ONCE = 2
WAIT_SECONDS = 5.0
FRAME_SECONDS = 10.0
CLIP_SECONDS = 20.0


class Busy(UserError):
    """Others are looking at footage; another try may succeed."""


class FootageViewer:
    """Whole frames and short clips of crops, where their videos are still there and nobody was erased from them."""

    def __init__(self, footage: Footage, gallery: Gallery) -> None:
        self._footage = footage
        self._gallery = gallery
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def frame(self, crop: Crop, picture: bytes) -> bytes:
        """The frame that a crop was cut from, as JPEG.

        Raises:
            NoFootage, NotAVideo, TooSlow: as `show_frame`.
            Busy: as its name says.
            UserError: the store cannot be used.
        """
        return self._shown(crop, picture, partial(show_frame, limit_seconds=FRAME_SECONDS))

    def clip(self, crop: Crop, picture: bytes, seconds: float) -> bytes:
        """So many seconds before and after the crop, as WebM.

        Raises:
            as `frame`.
        """
        show = partial(show_clip, around_seconds=seconds, limit_seconds=CLIP_SECONDS)
        return self._shown(crop, picture, show)

    def _shown(self, crop: Crop, picture: bytes, show: Callable[..., bytes]) -> bytes:
        origin = origin_of(crop, self._gallery.rows)
        with self._turn(), origin.open(self._footage) as file:
            shown = show(file, Sight(origin, crop.bbox, picture))
        origin_of(crop, self._gallery.rows)  # somebody may have been erased meanwhile
        return shown

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            raise Busy("Others are looking at footage at the moment")
        try:
            yield
        finally:
            self._turns.release()
