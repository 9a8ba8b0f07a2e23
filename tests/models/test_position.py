"""Position embeddings of another grid."""

import pytest
import torch

from personsearch.errors import UserError
from personsearch.models.position import resize_position_embedding


def plane(rows: int, columns: int) -> torch.Tensor:
    """A class token of 9, then row and column of each cell's centre in [0, 1]."""
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    return torch.cat([torch.full((1, 2), 9.0), torch.stack([y, x], dim=-1).reshape(-1, 2)])


@pytest.mark.parametrize(("old", "new"), [((14, 14), (24, 8)), ((24, 8), (8, 4)), ((4, 4), (4, 2))])
def test_positions_keep_their_place_inside(old: tuple[int, int], new: tuple[int, int]) -> None:
    resized = resize_position_embedding(plane(*old), old, new)
    assert torch.equal(resized[0], torch.full((2,), 9.0))
    inner = (slice(1, -1), slice(1, -1))
    found, wanted = (grid[1:].reshape(*new, 2)[inner] for grid in (resized, plane(*new)))
    assert torch.allclose(found, wanted, atol=0.5 / min(old))


def test_an_equal_grid_is_left_alone() -> None:
    embedding = plane(8, 4)
    assert resize_position_embedding(embedding, (8, 4), (8, 4)) is embedding


def test_a_square_grid_is_assumed_of_a_file_without_configuration() -> None:
    assert resize_position_embedding(plane(7, 7), None, (8, 4)).shape == (33, 2)
    with pytest.raises(UserError, match="do not form a 5×5 grid"):
        resize_position_embedding(plane(8, 4), None, (7, 7))
