"""Process-wide CPU settings, changed for training and restored afterwards."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # from glibc's malloc.h
DEFAULT_TRIM_THRESHOLD, DEFAULT_MMAP_MAX = 128 * 1024, 65536
MOST_KEPT = 2**31 - 1  # bytes, the largest value that mallopt accepts


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Flush denormals to zero: Adam's moments of unused parameters decay into them, and a CPU adds them 100× slower."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed tensors' memory in the process for the next step.

    glibc returns every large block to the system, and each page of the next one is then fetched and zeroed again
    (`benchmarks/layers.py`). With this, only the first steps do so, until the heap is as large as a step needs.
    Does nothing without glibc.
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
