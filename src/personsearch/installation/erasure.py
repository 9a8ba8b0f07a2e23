"""Erasure from everything that an installation holds: pictures, rows, collections, engines' files, services' memory.

The gallery commits first, so an erasure that is interrupted, or that cannot reach a store, is completed by running it
again, and by the next index build.
"""

import time
import urllib.error
from collections.abc import Callable, Iterator
from http.client import HTTPException

from pydantic import BaseModel, ValidationError

from personsearch.addresses import direct_opener
from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.gallery.collections import numbered, purge, remove_erased
from personsearch.gallery.pictures import Pictures
from personsearch.gallery.store import Gallery, PicturesLeft
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionStore

SERVICE_SECONDS = 60.0
LOOK_SECONDS = 0.2
OUT_OF_REACH = (
    "the videos and data sets that the crops came from",
    "crops that `personsearch evaluate --footage` keeps",
    "MLflow artifacts and reports that show them",
    "pictures that people saved",
    "backups, where `personsearch backup erase` removes them",
    "what a Milvus server keeps until its next garbage collection",
)


class Erasure(Config):
    """What an erasure removed, and what it could not."""

    erased: int
    """Crops erased from the gallery, pictures and rows."""

    vectors: int
    """Vectors removed from collections."""

    collections: int
    """Collections that hold none of the erased crops any more, in their answers and their files."""

    service: str
    """What the search service of this installation has in memory."""

    not_erased: tuple[str, ...] = OUT_OF_REACH
    """Copies that this command cannot reach."""

    def vectors_in_words(self) -> str:
        """How many vectors were removed, and why there may have been none left to remove."""
        if self.vectors or not self.erased or not self.collections:
            return str(self.vectors)
        return "none left: the promoter was faster, or these crops were not indexed yet"


class _Readiness(BaseModel):
    """What `GET /readyz` says of the service's memory."""

    collection: str | None
    sequence: int = 0


def erase(
    crop_filter: CropFilter,
    gallery: Gallery,
    *,
    open_store: Callable[[], CollectionStore | None] = lambda: None,
    find_service: Callable[[], str | None] = lambda: None,
) -> Erasure:
    """Erase crops from the gallery, then from every collection of the store, and wait until the service has followed.

    The gallery comes first, so a store that cannot be reached does not delay it; vectors are removed even where the
    store of pictures fails. `open_store` gives None where nothing was ever indexed, `find_service` the address of a
    running service or None.

    Raises:
        UserError: the filter admits everything, or a store or service has not followed; the gallery has erased then.
    """
    erased, left = _erase_from_gallery(gallery, crop_filter)
    try:
        store = open_store()
        vectors, collections = _erase_vectors(gallery, store) if store else (0, 0)
        uri = find_service()
        service = _wait_for_service(uri, gallery.last_sequence()) if uri else "not running"
        if left is not None:
            raise left
    except UserError as error:
        raise UserError(
            f"{erased} crops were erased from the gallery, but not everywhere: {error}; run the same command again"
        ) from error
    return Erasure(
        erased=erased,
        vectors=vectors,
        collections=collections,
        service=service,
        not_erased=(*_yet_to_come(gallery, crop_filter), *_versions_left(gallery.pictures), *OUT_OF_REACH),
    )


def _erase_from_gallery(gallery: Gallery, crop_filter: CropFilter) -> tuple[int, PicturesLeft | None]:
    try:
        return gallery.erase(crop_filter), None
    except PicturesLeft as error:
        return error.erased, error


def _yet_to_come(gallery: Gallery, crop_filter: CropFilter) -> Iterator[str]:
    """Ingests that may add crops of the same people later."""
    for video in gallery.rows.unfinished_videos():
        named = crop_filter.cameras is None or video.camera_id in crop_filter.cameras
        if named and (crop_filter.before is None or video.start < crop_filter.before):
            ingest = f"the unfinished ingest of camera {video.camera_id} from {video.start.isoformat()}"
            yield f"people whom {ingest} has yet to find: run the same command again when it has ended"


def _versions_left(pictures: Pictures) -> Iterator[str]:
    if pictures.versions_left:
        count = pictures.versions_left
        yield f"older versions of {count} pictures, which {pictures.place} keeps until a lifecycle rule expires them"


def _erase_vectors(gallery: Gallery, store: CollectionStore) -> tuple[int, int]:
    """Remove them from answers first, which is quick, then from the engine's files, which waits for index builds."""
    vectors = sum(remove_erased(store, gallery).values())
    with gallery.building():
        vectors += sum(remove_erased(store, gallery).values())  # a build may have added what it had read before
        names = [name for _, name in numbered(store)]
        purge(store, names)
    return vectors, len(names)


def _wait_for_service(uri: str, sequence: int) -> str:
    deadline = time.monotonic() + SERVICE_SECONDS
    while time.monotonic() < deadline:
        ready = _readiness(uri)
        if ready.collection is None:
            return "holds no collection"
        if ready.sequence >= sequence:
            return "has followed"
        time.sleep(LOOK_SECONDS)
    raise UserError(f"the search service at {uri} has not followed for {SERVICE_SECONDS:.0f} s")


def _readiness(uri: str) -> _Readiness:
    try:
        with direct_opener().open(f"{uri}/readyz", timeout=SERVICE_SECONDS) as response:
            body = response.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except (OSError, HTTPException) as error:
        raise UserError(f"the search service at {uri} does not answer: {error}") from error
    try:
        return _Readiness.model_validate_json(body)
    except ValidationError as error:
        raise UserError(f"{uri} is not a personsearch service") from error
