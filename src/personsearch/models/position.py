"""Position embeddings for another image size.

Shapes: P positions (class token first), W width of the tower; grids are (rows, columns).
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from personsearch.errors import UserError

Grid = tuple[int, int]


def resize_position_embedding(embedding_PW: Tensor, old_grid: Grid | None, new_grid: Grid) -> Tensor:
    """Bilinear interpolation of a grid of position embeddings, its class token kept.

    `old_grid` None means a square one: a file of weights alone does not say.

    Raises:
        UserError: the embedding does not hold one class token and that grid.
    """
    positions, width = len(embedding_PW) - 1, embedding_PW.shape[1]
    rows, columns = old_grid or (math.isqrt(positions), math.isqrt(positions))
    if rows * columns != positions:
        raise UserError(f"weights: {positions} image positions do not form a {rows}×{columns} grid")
    if (rows, columns) == new_grid:
        return embedding_PW
    grid = embedding_PW[1:].float().reshape(1, rows, columns, width).permute(0, 3, 1, 2)
    resized = interpolate(grid, size=new_grid, mode="bilinear", align_corners=False)
    flat_PW = resized.permute(0, 2, 3, 1).reshape(-1, width).to(embedding_PW.dtype)
    return torch.cat([embedding_PW[:1], flat_PW])
