"""C-ITC against numbers worked out by hand."""

import pytest
import torch

from personsearch.losses.c_itc import c_itc

# Cosines of images to each other: 0, of the first two texts: 1, of image i to text j: row i of TEXT transposed.
IMAGE = torch.eye(3)
TEXT = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def test_three_pairs_by_hand() -> None:
    # S_II − S_TT is −1 at (0, 1) and (1, 0); S_IT has its one excess at (0, 1), so S_IT − S_TI is ±1 there.
    assert c_itc(IMAGE, TEXT, lambda_1=1, lambda_2=0).item() == pytest.approx(2 / 9)
    assert c_itc(IMAGE, TEXT, lambda_1=0, lambda_2=1).item() == pytest.approx(2 / 9)
    assert c_itc(IMAGE, TEXT).item() == pytest.approx(0.25 * 2 / 9 + 0.25 * 2 / 9)


def test_zero_wherever_texts_lie_as_images_do() -> None:
    """A mirror keeps cosines within a side, a permutation of axes that is its own inverse keeps S_IT symmetric."""
    mirrored = IMAGE * torch.tensor([-1.0, 1.0, 1.0])
    assert c_itc(IMAGE, IMAGE).item() == 0
    assert c_itc(IMAGE, mirrored).item() == 0
    assert c_itc(IMAGE, IMAGE[[1, 0, 2]]).item() == 0
    assert c_itc(IMAGE, IMAGE[[1, 2, 0]]).item() > 0
