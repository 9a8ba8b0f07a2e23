"""Losses against a frozen teacher: on its vectors, and on the similarities between them.

Shapes: N pairs of the global batch, D embedding dimension.
"""

from torch import Tensor
from torch.nn.functional import cosine_similarity, log_softmax


def feature_distance(student_ND: Tensor, teacher_ND: Tensor) -> Tensor:
    """Mean over items of 1 − cosine of the student's and the teacher's vector; both have D dimensions."""
    return (1 - cosine_similarity(student_ND, teacher_ND, dim=1)).mean()


def relation_divergence(student_NN: Tensor, teacher_NN: Tensor, *, temperature: float | Tensor) -> Tensor:
    """Mean over both directions and their rows of KL(softmax(teacher's cosines / τ) ‖ softmax(student's / τ)).

    It is 0 where the student ranks and separates the batch as the teacher does, whatever the dimensions. Both use
    the teacher's τ: with its own, a student could fit the sharpness in place of the cosines, and search uses
    nothing but cosines. Knowledge distillation (Hinton et al., 2015) of a batch's similarities.
    """
    student_NN, teacher_NN = student_NN / temperature, teacher_NN / temperature
    return (_divergence(student_NN, teacher_NN) + _divergence(student_NN.T, teacher_NN.T)) / 2


def _divergence(student_NN: Tensor, teacher_NN: Tensor) -> Tensor:
    log_student_NN, log_teacher_NN = log_softmax(student_NN, dim=1), log_softmax(teacher_NN, dim=1)
    return (log_teacher_NN.exp() * (log_teacher_NN - log_student_NN)).sum(dim=1).mean()
