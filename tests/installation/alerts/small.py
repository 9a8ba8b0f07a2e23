"""A live collection that knows colours, over crops of which each says its colour."""

from personsearch.gallery.alerts import WatchedSearch
from personsearch.gallery.store import Gallery
from personsearch.images import open_image, resize
from personsearch.search.crop import Crop
from personsearch.search.exact import ExactStore
from personsearch.search.filters import EVERYTHING
from personsearch.search.index import CollectionProperties
from personsearch.search.searcher import Searcher
from serving.index_search import IndexSearch
from tests.crops import START, make_crop
from tests.serving.colours import CALIBRATION, ColourEncoder, figure

COLLECTION = "persons_v1_1"


def watched(watch_id: str, text: str, **fields: object) -> WatchedSearch:
    """A watched search of Anna's with these fields; the others are valid and of no importance."""
    own = {"crop_filter": EVERYTHING, "threshold": 0.9, "owner": "anna", "name": text}
    return WatchedSearch(watch_id=watch_id, text=text, created_at=START, changed_at=START, **(own | fields))  # type: ignore[arg-type]


def figures(colour: str, track: int, crops: int = 3) -> list[tuple[Crop, bytes]]:
    """A track of somebody in this colour, with pictures."""
    ids = [f"{colour}-{track}-{number}" for number in range(crops)]
    return [(make_crop(crop_id, track_id=f"track/{track}", camera_id="gate"), figure(colour)) for crop_id in ids]


def live_search(store: ExactStore, gallery: Gallery, *, calibrated: bool = True) -> IndexSearch:
    """An empty live collection."""
    encoder = ColourEncoder()
    properties = CollectionProperties("colours", "1", "fingerprint", "data", encoder.embedding_dim)
    index = store.create(COLLECTION, properties)
    searcher = Searcher(encoder, index, CALIBRATION if calibrated else None)
    return IndexSearch(COLLECTION, properties, searcher, gallery, mirror_memory=2**30)


def follow(store: ExactStore, gallery: Gallery, since: int, until: int | None = None) -> int:
    """Add the gallery's crops after a change to the collection; returns the change that it has reached."""
    latest = gallery.last_sequence()
    until = latest if until is None else min(latest, until)
    encoder = ColourEncoder()
    size = encoder.preprocessing.height, encoder.preprocessing.width
    for crop in gallery.crops_since(since, until):
        pixels = resize(open_image(gallery.picture(crop)), *size)
        store.open(COLLECTION).upsert([crop], encoder.encode_images(pixels[None]))
    return until
