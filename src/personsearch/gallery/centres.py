"""Measures the centres of a gallery's vectors and of its queries, before the first vector is coded to bits.

Shapes: N sample crops, D embedding dimension.
"""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from personsearch.encoders.encoder import Encoder
from personsearch.gallery.sampling import spread_evenly
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import read_pixels
from personsearch.images import ImageRejected
from personsearch.search.quantised import Centres

SAMPLE = 64  # crops


def measure_centres(gallery: Gallery, encoder: Encoder, texts: Sequence[str]) -> Centres:
    """The mean vectors of crops spread evenly over the gallery, and of texts; zero if no crop can be read."""
    pixels = []
    for crop in spread_evenly(gallery.crops(), gallery.count(), SAMPLE):
        with suppress(ImageRejected):
            pixels.append(read_pixels(gallery, crop, encoder))
    if not pixels:
        return Centres.zero(encoder.embedding_dim)
    return Centres.of(encoder.encode_images(np.array(pixels)), encoder.encode_texts(texts))
