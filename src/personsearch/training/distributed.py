"""Data-parallel training over one global batch; with a single process every function here does nothing.

`torchrun` starts the processes and sets RANK and WORLD_SIZE. Each encodes its part of the batch; features are gathered
with gradients, every process computes the same loss of the global batch, and gradients are averaged. Machines need no
file system in common: what the first process writes and others read is sent to them.

Shapes: N pairs of this process, M of all processes, D embedding dimension.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from personsearch.files import replacing

PART_BYTES = 64 * 2**20


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the process group if `torchrun` started this process, and leave it at the end.

    `device` becomes the current GPU: calls that name no device, such as a barrier, would otherwise all use the first.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    joins = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    if joins:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        if joins:
            dist.destroy_process_group()


def local_device(device: torch.device) -> torch.device:
    """The GPU that belongs to this process if `device` has no index."""
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    if dist.is_initialized():
        dist.barrier()


def share(path: Path) -> None:
    """Wait for a file of the first process, if it has one, and copy it to the other machines."""
    if world_size() == int(os.environ.get("LOCAL_WORLD_SIZE", world_size())):
        barrier()
        return
    size = _of_first(path.stat().st_size if rank() == 0 and path.is_file() else None)
    if size is None:
        return
    if rank() != 0 and int(os.environ["LOCAL_RANK"]) == 0:
        with replacing(path) as temporary, temporary.open("wb") as file:
            for _ in range(0, size, PART_BYTES):
                file.write(_of_first(None))
    elif rank() == 0:
        with path.open("rb") as file:
            while part := file.read(PART_BYTES):
                _of_first(part)
    else:
        for _ in range(0, size, PART_BYTES):
            _of_first(None)
    barrier()


def _of_first(value: Any) -> Any:
    """The first process's value, in all of them."""
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def gather(values_N: Tensor) -> Tensor:
    """The values of all processes in rank order, without gradient."""
    if world_size() == 1:
        return values_N
    parts = [torch.empty_like(values_N) for _ in range(world_size())]
    dist.all_gather(parts, values_N.contiguous())
    return torch.cat(parts)


def gather_with_gradient(features_ND: Tensor) -> Tensor:
    """Features [M, D] of all processes; each receives the summed gradient of all processes' losses at its own rows.

    TBPS-CLIP's global-gradient back-propagation (training trick 1).
    """
    if world_size() == 1:
        return features_ND
    gathered: Tensor = _Gather.apply(features_ND)
    return gathered


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average over processes; afterwards all hold the gradient of the global batch's loss."""
    if world_size() == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            # The backward pass of the gather summed world_size() equal losses: dividing leaves one.
            dist.all_reduce(parameter.grad)
            parameter.grad /= world_size()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, features_ND: Tensor) -> Tensor:
        context.rows = len(features_ND)
        return gather(features_ND)

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Tensor:
        gradient_MD: Tensor = gradients[0].contiguous()
        # The loss of every process depends on this process's rows, so their gradients add up.
        dist.all_reduce(gradient_MD)
        return gradient_MD[rank() * context.rows : (rank() + 1) * context.rows]
