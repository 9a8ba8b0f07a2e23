"""OKLab, and the names that colours deserve."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from personsearch.augmentation.pdg.colours import (
    CLOTH,
    LAB_OF_CLOTH,
    TARGETS,
    WORDS,
    agreement,
    cloth_named,
    from_oklab,
    to_oklab,
    unlike,
)


def test_oklab_of_known_colours() -> None:
    """White, black, and sRGB's red as Ottosson prints them."""
    rgb = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], np.uint8)
    np.testing.assert_allclose(to_oklab(rgb), [[1, 0, 0], [0, 0, 0], [0.628, 0.225, 0.126]], atol=1e-3)


@given(arrays(np.uint8, (4, 3)))
def test_oklab_there_and_back(rgb: np.ndarray) -> None:  # type: ignore[type-arg]
    assert np.abs(from_oklab(to_oklab(rgb)).astype(int) - rgb).max() <= 1


@given(st.sampled_from(sorted(CLOTH)), st.floats(0.5, 1.0))
def test_a_scaled_colour_is_the_same_cloth_in_other_light(name: str, scale: float) -> None:
    """Linear RGB scales by the cube, whatever the colour."""
    linear = (from_oklab(LAB_OF_CLOTH[name] * scale) / 255.0) ** 2.2
    expected = (np.array(CLOTH[name]) / 255.0) ** 2.2 * scale**3
    np.testing.assert_allclose(linear, expected, atol=0.02)


def test_every_cloth_agrees_best_with_its_own_name() -> None:
    for name, lab in LAB_OF_CLOTH.items():
        scores = {other: float(agreement(lab, [other])) for other in CLOTH}
        assert max(scores, key=scores.__getitem__) == name
        assert sum(scores.values()) == np.float32(1).item() or abs(sum(scores.values()) - 1) < 1e-4


def test_every_word_names_known_cloth_and_every_target_is_a_word() -> None:
    for word in WORDS:
        for form in (word, f"light {word}", f"dark {word}"):
            assert cloth_named(form)
            assert set(cloth_named(form)) <= set(CLOTH)
    assert all(target in cloth_named(target) for target in TARGETS)


def test_unlike_is_the_nearest_pair() -> None:
    assert unlike(["red"], ["red", "blue"]) == 0
    assert unlike(["black", "white"], ["dark grey"]) == unlike(["black"], ["dark grey"]) > 0
