"""Reads a file of torch.save without calling anything that it names: only tensors and plain containers come back.

Also says of a file that is something else what it is.
"""

import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch._utils import _rebuild_parameter, _rebuild_tensor_v2

from personsearch.errors import shortened

ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
}

EXPECTED = "a file that torch.save or safetensors wrote expected"
HEAD_BYTES = 512
# The first that a file begins with, whatever its name, says what it is.
BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer, which names a file; `git lfs pull` fetches the file itself"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"\x1f\x8b", "an archive packed by gzip; unpack it first"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 file"),
)
WEB_PAGE = (b"<!doctype html", b"<html", b"<?xml", b"<head")


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
    """The content of a file of torch.save or safetensors; an object of any class but torch's own is a `Skipped`.

    Raises:
        Exception: of many kinds, for a file that torch.save did not write, or that is damaged.
    """
    if _is_safetensors(path):
        from safetensors.torch import load_file

        return load_file(path)
    with warnings.catch_warnings():  # torch guesses that a pickle may be too new for its own reader; ours reads it
        warnings.filterwarnings("ignore", "Detected pickle protocol")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # such as for a configuration of a class of its own beside the weights
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_RestrictedPickle)


def describe_content(content: Any) -> str:
    """What a checkpoint holds, for an error message."""
    if isinstance(content, Skipped):
        return f"a whole pickled object, {content.kind}; save its state_dict() instead"
    if isinstance(content, type) and issubclass(content, Skipped):
        return f"the name of {content.kind}"
    if isinstance(content, dict):
        return f"a dictionary of {_first([str(name) for name in content])}" if content else "empty"
    return f"a {type(content).__name__}"


def _first(names: list[str]) -> str:
    return f"{', '.join(names[:6])}{', …' if len(names) > 6 else ''}"


def describe_unreadable(path: Path, error: Exception) -> str:
    """What a file is that `read_checkpoint` failed on with `error`, and what is expected, for an error message."""
    return f"is {_kind_of_file(path) or _damaged(error)}; {EXPECTED}"


def _kind_of_file(path: Path) -> str | None:
    """What a file is by its first bytes; None for what begins like a checkpoint, or like nothing known."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return "an empty file"
    if head.lstrip().lower().startswith(WEB_PAGE):
        return "a web page, such as the one that asks for a login or a confirmation before a download"
    if kind := next((kind for beginning, kind in BEGINNINGS if head.startswith(beginning)), None):
        return kind
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    if zipfile.is_zipfile(path):
        return _kind_of_archive(path)
    return _kind_of_pickle(path) if head.startswith(b"\x80") else _kind_of_text(head)


def _kind_of_archive(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith(("/data.pkl", "/constants.pkl")) for name in names):
        return None
    return f"a zip archive of {_first(names)}; unpack it first"


def _kind_of_pickle(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            content = _Unpickler(file).load()
    except Exception:  # a damaged pickle fails in ways of its own
        return None
    return None if isinstance(content, int) else f"a plain pickle: {describe_content(content)}"  # torch's own magic


def _kind_of_text(head: bytes) -> str | None:
    text = head.decode("utf-8", errors="ignore")
    line = text.strip().partition("\n")[0].strip()
    return f"a text file that begins with {shortened(line, 40)!r}" if line and line.isprintable() else None


def _damaged(error: Exception) -> str:
    reason = "".join(letter for letter in shortened(str(error), 120) if letter.isprintable())
    return f"damaged, cut off or of an unknown kind ({reason or type(error).__name__})"


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins with the length of a header, and the header, as safetensors has it, whatever its name."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"
