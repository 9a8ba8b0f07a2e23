import resource

import torch

from personsearch.training.cpu import flushed_denormals, kept_memory

MEBIBYTE = 1 << 20


def page_faults_of_large_tensors(repeats: int) -> int:
    torch.ones(64 * MEBIBYTE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(repeats):
        torch.ones(64 * MEBIBYTE)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_large_tensor_takes_the_memory_of_the_one_before() -> None:
    outside = page_faults_of_large_tensors(8)
    with kept_memory():
        inside = page_faults_of_large_tensors(8)
    assert inside < outside / 2
    assert page_faults_of_large_tensors(8) > outside / 2


def test_denormal_numbers_are_flushed_inside_alone() -> None:
    with flushed_denormals():
        assert float(torch.tensor(1e-39) * 1) == 0
    assert float(torch.tensor(1e-39) * 1) > 0
