"""The centres of crops and of queries, which binary vectors are taken from."""

import numpy as np

from personsearch.gallery.indexing import measure_centres
from personsearch.gallery.store import Gallery
from personsearch.images import open_image
from tests.gallery.builds import PROBES, HashEncoder, add


def test_centres_are_the_means_of_crops_and_probes(gallery: Gallery) -> None:
    encoder = HashEncoder()
    centres = measure_centres(gallery, encoder, PROBES)
    pixels_NHW3 = np.array([open_image(gallery.picture(crop)) for crop in gallery.crops()])
    np.testing.assert_allclose(centres.crops_D, encoder.encode_images(pixels_NHW3).mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(centres.queries_D, encoder.encode_texts(PROBES).mean(axis=0), atol=1e-3)


def test_centres_are_of_crops_from_the_whole_gallery(gallery: Gallery) -> None:
    """64 of 100: the last ones count like the first."""
    add(gallery, 40, 100)
    encoder = HashEncoder()
    centres = measure_centres(gallery, encoder, PROBES)
    pixels_NHW3 = np.array([open_image(gallery.picture(crop)) for crop in gallery.crops()])
    assert encoder.images_encoded == 64
    sampled = [place * 100 // 64 for place in range(64)]
    assert sampled[-1] == 98
    np.testing.assert_allclose(centres.crops_D, encoder.encode_images(pixels_NHW3[sampled]).mean(axis=0), atol=1e-3)
