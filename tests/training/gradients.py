"""When two gradients are the same."""

from collections.abc import Mapping

from torch import Tensor


def assert_close(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """To 1e-5, of a tensor's largest number where that is above 1: the sums of float32 have another order."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert (found[name] - value).abs().max() <= 1e-5 * value.abs().max().clamp(min=1), name
