import subprocess
import sys

import torch

from personsearch.training.cpu import flushed_denormals

MEMORY = """
import resource
import torch
from personsearch.training.cpu import kept_memory

def page_faults_of_large_tensors():
    for _ in range(32):  # the first ones make the heap as large as it needs to be
        torch.ones(1 << 23)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(1 << 23)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20

print(page_faults_of_large_tensors())
before = resident_mib()
with kept_memory():
    print(page_faults_of_large_tensors())
    print(resident_mib() - before)
print(resident_mib() - before)
"""
LARGE_MIB = 32


def test_large_tensors_take_the_memory_of_earlier_ones_and_give_it_back_at_the_end() -> None:
    """In a process of its own: what other tests left in the heap lies in the way."""
    finished = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    faults_before, faults_inside, kept_mib, left_mib = map(float, finished.stdout.split())
    assert faults_inside < 0.01 * faults_before
    assert kept_mib > 0.9 * LARGE_MIB
    assert left_mib < 0.1 * LARGE_MIB


def test_denormal_numbers_are_flushed_inside_alone() -> None:
    with flushed_denormals():
        assert float(torch.tensor(1e-39) * 1) == 0
    assert float(torch.tensor(1e-39) * 1) > 0
