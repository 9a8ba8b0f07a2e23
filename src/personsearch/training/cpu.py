"""What training sets in its process for the CPU's sake, and gives back."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
DEFAULT_TRIM_THRESHOLD, DEFAULT_MMAP_MAX = 128 * 1024, 65536
MOST_KEPT = 2**31 - 1  # bytes, the most that mallopt takes


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Adam's moments of parameters without gradient decay into denormal numbers, which a CPU adds 100 times slower."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Freed tensors stay with the process for the next step.

    glibc gives every large one back to the system, and each page of the next is fetched and zeroed anew
    (`benchmarks/layers.py`). Here the first steps still fetch theirs, until the heap holds what a step needs.
    Without glibc nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_MAX, DEFAULT_MMAP_MAX)
        libc.mallopt(M_TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD)
        libc.malloc_trim(0)
