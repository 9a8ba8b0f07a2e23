"""The fused QuickGELU is open_clip's: values and gradients, whatever the size and the precision."""

import copy

import pytest
import torch
from open_clip.transformer import QuickGELU
from torch.autograd import gradcheck

from personsearch.models.architecture import Architecture
from personsearch.models.clip import DualEncoder
from personsearch.models.quick_gelu import FusedQuickGELU

ARCHITECTURE = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2},
}


@pytest.mark.parametrize("shape", [(3, 5, 7), (100,), (0, 4), ()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_those_of_open_clip(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values, above = 4 * torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
    found, wanted = [], []
    for module, results in ((FusedQuickGELU().train(), found), (QuickGELU(), wanted)):
        given = values.clone().requires_grad_()
        activated = module(given)
        activated.backward(above)
        results += [activated.detach(), given.grad]
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.02}
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, **close)


def test_the_gradient_is_that_of_the_values() -> None:
    values = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(4, 6).requires_grad_()
    assert gradcheck(FusedQuickGELU().train(), (values,))
    assert gradcheck(lambda given: FusedQuickGELU().train()(given.T), (values,))


def test_one_tensor_is_kept_for_the_gradient() -> None:
    kept: list[int] = []
    values = torch.randn(1000, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t):
        FusedQuickGELU().train()(values)
    assert kept == [1000]


def test_a_model_of_openai_has_it_and_trains_and_serves_the_same() -> None:
    torch.manual_seed(0)
    model = DualEncoder(Architecture(ARCHITECTURE | {"quick_gelu": True}))
    kinds = [type(module) for module in model.modules() if "GELU" in type(module).__name__]
    assert kinds == [FusedQuickGELU] * 4
    pixels, ids = torch.randn(2, 3, 32, 16), torch.tensor([[1, 2, 49, 0], [3, 49, 0, 0]])
    plain = copy.deepcopy(model)
    for module in plain.modules():
        if isinstance(module, FusedQuickGELU):
            module.__class__ = QuickGELU
    for own, theirs in ((model.train(), plain.train()), (model.eval(), plain.eval())):
        assert torch.allclose(own.encode_image(pixels), theirs.encode_image(pixels), atol=1e-6)
        assert torch.allclose(own.encode_text(ids), theirs.encode_text(ids), atol=1e-6)


def test_another_activation_is_left_alone() -> None:
    names = {type(module).__name__ for module in DualEncoder(Architecture(ARCHITECTURE)).modules()}
    kinds = {name for name in names if "GELU" in name}
    assert kinds == {"GELU"}
