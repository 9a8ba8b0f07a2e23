"""What the audit log keeps of a search, or of inputs turned into vectors, whether it came through the service or the
command line.
"""

import getpass
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from personsearch.search.index import CollectionProperties
from personsearch.search.searcher import Answer

SCORE_DECIMALS = 6


def search_record(
    text: str,
    answer: Answer,
    *,
    who: str,
    purpose: str,
    request_id: str,
    filters: Mapping[str, Any],
    collection: str,
    properties: CollectionProperties,
    beside_text: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of an event "search". `beside_text` is what else was searched for; a record with any is no evidence
    for the calibration of descriptions.

    `scores`, `leads`, `tracks`, `facts` and `levels` are what confidence depends on: with the verdicts on these
    candidates a site can fit a calibration of its own.
    """
    candidates, given = answer.candidates, answer.given
    levels = (given.reference.mean, given.reference.spread, given.gallery.mean, given.gallery.spread)
    return {
        "request_id": request_id,
        "who": who,
        "purpose": purpose,
        "query": text,
        **({"beside_text": dict(beside_text)} if beside_text else {}),
        "filters": dict(filters),
        **_origin(collection, properties),
        "text_cut_after": answer.text_cut_after,
        "reliable": answer.reliable,
        "fitting": answer.fitting,
        "tracks": round(given.tracks, 1),
        "facts": given.facts,
        "levels": [round(value, SCORE_DECIMALS) for value in levels],
        "results": [candidate.crop.crop_id for candidate in candidates],
        "scores": [round(candidate.score, SCORE_DECIMALS) for candidate in candidates],
        "leads": [round(candidate.lead, SCORE_DECIMALS) for candidate in candidates],
    }


def embed_record(
    texts: Sequence[str],
    images: Sequence[bytes],
    *,
    who: str,
    purpose: str,
    request_id: str,
    collection: str,
    properties: CollectionProperties,
) -> dict[str, Any]:
    """The record of an event "embed". Whoever holds a vector can search the collection with it, so texts are kept as
    queries are; of images, the hashes of their files.
    """
    return {
        "request_id": request_id,
        "who": who,
        "purpose": purpose,
        "texts": list(texts),
        "images": [hashlib.sha256(image).hexdigest() for image in images],
        **_origin(collection, properties),
    }


def heat_map_record(
    text: str,
    crop_id: str,
    *,
    who: str,
    purpose: str,
    request_id: str,
    collection: str,
    properties: CollectionProperties,
) -> dict[str, Any]:
    """The record of an event "heat_map": somebody looked at a crop with these words in mind."""
    return {
        "request_id": request_id,
        "who": who,
        "purpose": purpose,
        "query": text,
        "results": [crop_id],
        **_origin(collection, properties),
    }


def _origin(collection: str, properties: CollectionProperties) -> dict[str, str]:
    return {
        "collection": collection,
        "model": properties.model_name,
        "model_version": properties.model_version,
        "fingerprint": properties.fingerprint,
    }


def local_user() -> str:
    """Who runs this command: the name of the operating system's user, as "local:NAME"."""
    try:
        return f"local:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return f"local:{os.getuid()}"
