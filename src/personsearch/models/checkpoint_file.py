"""Reads a file of torch.save without calling anything that it names: only tensors and plain containers come back."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch._utils import _rebuild_parameter, _rebuild_tensor_v2

ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
}


class Skipped:
    """Stands for an object of a class that was not called; takes whatever a pickle puts into it, and forgets it."""

    kind = ""

    def __new__(cls, *_given: Any, **_named: Any) -> "Skipped":
        return super().__new__(cls)

    def __init__(self, *given: Any, **named: Any) -> None: ...

    def __call__(self, *given: Any, **named: Any) -> "Skipped":
        return self

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, item: Any) -> None: ...

    def extend(self, items: Any) -> None: ...

    def add(self, item: Any) -> None: ...


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What a tensor is made of, or a class of `Skipped` instead of what is named: it is not even imported."""
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        return type("Skipped", (Skipped,), {"kind": f"{module}.{name}"})


class _RestrictedPickle:
    """What torch.load asks of a pickle module."""

    Unpickler = _Unpickler

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        return _Unpickler(file, **options).load()


def read_checkpoint(path: Path) -> Any:
    """The content of the file; an object of any class but torch's own is a `Skipped`.

    Raises:
        Exception: of many kinds, for a file that torch.save did not write, or that is damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # such as for a configuration of a class of its own beside the weights
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_RestrictedPickle)


def describe_content(content: Any) -> str:
    """What a checkpoint holds, for an error message."""
    if isinstance(content, Skipped):
        return f"a whole pickled object, {content.kind}; save its state_dict() instead"
    if isinstance(content, dict):
        names = [str(name) for name in content]
        return f"a dictionary of {', '.join(names[:6])}{', …' if len(names) > 6 else ''}" if names else "empty"
    return f"a {type(content).__name__}"
