import subprocess
import sys

import torch

from personsearch.training.cpu import flushed_denormals

PAGE_FAULTS = """
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

print(page_faults_of_large_tensors())
with kept_memory():
    print(page_faults_of_large_tensors())
print(page_faults_of_large_tensors())
"""


def test_large_tensors_take_the_memory_of_earlier_ones() -> None:
    """In a process of its own: what other tests left in the heap lies in the way."""
    finished = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, check=True)
    before, inside, after = map(int, finished.stdout.split())
    assert inside < 0.01 * before
    assert inside < 0.01 * after, "what was set is given back"


def test_denormal_numbers_are_flushed_inside_alone() -> None:
    with flushed_denormals():
        assert float(torch.tensor(1e-39) * 1) == 0
    assert float(torch.tensor(1e-39) * 1) > 0
