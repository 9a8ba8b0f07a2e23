"""A changed model becomes a whole bundle that names its parent and proves itself."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from personsearch.bundle import MODEL_CARD, TOKENIZER, WEIGHTS, Bundle
from personsearch.compression.torch_bundle import write_torch_bundle
from personsearch.encoders.golden import verify_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.models.build import load_bundle_model


def write_twice(bundle: Path, folder: Path) -> Path:
    for source, name, change in ((bundle, "one", "First."), (folder / "one", "two", "Second.")):
        opened = Bundle.open(source)
        write_torch_bundle(opened, load_bundle_model(opened).model, folder / name, change=change)
    return folder / "two"


def test_a_chain_of_changes_is_told_by_lineage_and_card(tiny_bundle: Path, tmp_path: Path) -> None:
    last = write_twice(tiny_bundle, tmp_path)
    assert Bundle.open(last).spec.lineage.parent == Bundle.open(tmp_path / "one").fingerprint
    assert Bundle.open(tmp_path / "one").spec.lineage.parent == Bundle.open(tiny_bundle).fingerprint
    lines = (last / MODEL_CARD).read_text().splitlines()
    assert [line[:9] for line in lines if line.startswith("- ")] == ["- First. ", "- Second."]
    assert lines.count("## After training") == 1
    assert (last / TOKENIZER).read_bytes() == (tiny_bundle / TOKENIZER).read_bytes()
    assert verify_golden(Bundle.open(last), TorchEncoder.from_bundle(Bundle.open(last), "cpu")) < 1e-6
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_weights_keep_their_precision(tiny_bundle: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    source = tmp_path / "source"
    write_torch_bundle(Bundle.open(tiny_bundle), load_bundle_model(Bundle.open(tiny_bundle)).model, source)
    state = load_file(source / WEIGHTS)
    save_file({name: value.to(dtype) for name, value in state.items()}, source / WEIGHTS)
    write_torch_bundle(Bundle.open(source), load_bundle_model(Bundle.open(source)).model, tmp_path / "changed")
    assert {value.dtype for value in load_file(tmp_path / "changed" / WEIGHTS).values()} == {dtype}


def test_the_source_is_never_overwritten(tiny_bundle: Path) -> None:
    before = Bundle.open(tiny_bundle).fingerprint
    with pytest.raises(UserError, match="the source itself"):
        write_torch_bundle(Bundle.open(tiny_bundle), load_bundle_model(Bundle.open(tiny_bundle)).model, tiny_bundle)
    assert Bundle.open(tiny_bundle).fingerprint == before
