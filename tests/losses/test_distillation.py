"""Distillation losses against numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from personsearch.losses.distillation import feature_distance, relation_divergence

THREE_TO_ONE = math.log(3)  # a difference of logits whose softmax is (¾, ¼)


def test_distance_is_one_less_the_cosine() -> None:
    """Equal, orthogonal, opposite: 0, 1 and 2."""
    student = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert feature_distance(student, teacher).item() == pytest.approx(1)
    assert feature_distance(student[1:], teacher[1:]).item() == pytest.approx(1.5)


def test_divergence_of_an_even_student_by_hand() -> None:
    """Rows (¾, ¼) of the teacher against (½, ½): ¾ ln 1½ + ¼ ln ½. Columns are (¾, ¼) and its mirror alike."""
    teacher = 0.1 * torch.tensor([[THREE_TO_ONE, 0.0], [0.0, THREE_TO_ONE]])
    wanted = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert relation_divergence(torch.zeros(2, 2), teacher, temperature=0.1).item() == pytest.approx(wanted)


def test_both_directions_count_alike() -> None:
    """Rows of the teacher are even and its columns (¾, ¼): an even student is right in one direction of two."""
    teacher = torch.tensor([[THREE_TO_ONE, THREE_TO_ONE], [0.0, 0.0]])
    wanted = (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2
    assert relation_divergence(torch.zeros(2, 2), teacher, temperature=1.0).item() == pytest.approx(wanted)
    assert relation_divergence(torch.zeros(2, 2), teacher.T, temperature=1.0).item() == pytest.approx(wanted)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(2, 6), st.floats(0.01, 1))
def test_divergence_is_least_at_the_teachers_similarities_whatever_the_dimensions(
    seed: int, size: int, temperature: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    wide, narrow = ([normalize(torch.randn(size, dim, generator=generator), dim=1) for _ in range(2)] for dim in (8, 3))
    teacher, student = wide[0] @ wide[1].T, narrow[0] @ narrow[1].T
    assert relation_divergence(teacher, teacher, temperature=temperature).item() == pytest.approx(0, abs=1e-5)
    assert relation_divergence(student, teacher, temperature=temperature).item() >= -1e-5
    shifted = relation_divergence(teacher - 0.3, teacher, temperature=temperature)
    assert shifted.item() == pytest.approx(0, abs=1e-5)


def test_gradient_is_the_difference_of_both_softmaxes() -> None:
    """Of each row: (softmax(student / τ) − softmax(teacher / τ)) / (τ · rows); of columns likewise; half of both."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.rand(4, 4, generator=generator) for _ in range(2))
    student.requires_grad_()
    relation_divergence(student, teacher, temperature=0.1).backward()
    rows, columns = ((student / 0.1).softmax(dim) - (teacher / 0.1).softmax(dim) for dim in (1, 0))
    assert student.grad is not None
    assert torch.allclose(student.grad, (rows + columns) / (2 * 4 * 0.1), atol=1e-6)
