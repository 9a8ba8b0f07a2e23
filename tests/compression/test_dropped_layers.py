"""Bundles without some of their layers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from personsearch.bundle import MODEL_CARD, TOKENIZER, Bundle
from personsearch.compression.cuts import drop_layers
from personsearch.encoders.golden import verify_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.models.build import load_bundle_model
from personsearch.models.encoder import PersonEncoder


def test_a_bundle_without_layers_is_what_skipping_them_gives(tiny_bundle: Path, tmp_path: Path) -> None:
    drop_layers(Bundle.open(tiny_bundle), text=[2], image=[1], out_dir=tmp_path / "out")
    spec = Bundle.open(tmp_path / "out").spec
    assert (spec.architecture["text_cfg"]["layers"], spec.architecture["vision_cfg"]["layers"]) == (1, 1)
    assert spec.lineage.parent == Bundle.open(tiny_bundle).fingerprint
    assert "Without its text layers 2 and image layers 1." in (tmp_path / "out" / MODEL_CARD).read_text()
    verify_golden(Bundle.open(tmp_path / "out"), TorchEncoder.from_bundle(Bundle.open(tmp_path / "out"), "cpu"))

    whole, smaller = (
        load_bundle_model(Bundle.open(tiny_bundle)).model,
        load_bundle_model(Bundle.open(tmp_path / "out")).model,
    )
    clip: Any = whole.clip
    del clip.transformer.resblocks[1]
    del clip.visual.transformer.resblocks[0]
    ids, pixels = torch.tensor([[5, 3, 9]]), torch.randn(2, 3, 32, 16)
    with torch.inference_mode():
        assert torch.equal(smaller.encode_text(ids), whole.encode_text(ids))
        assert torch.equal(smaller.encode_image(pixels), whole.encode_image(pixels))


def test_what_cannot_be_dropped_is_told_and_nothing_is_written(
    tiny_bundle: Path,
    tmp_path: Path,
    bundle_of: Callable[[Path, PersonEncoder, Tokenizer], Path],
    make_model: Callable[[dict[str, Any]], PersonEncoder],
) -> None:
    with pytest.raises(UserError, match=r"drop_text_layers: \[3\]; the text tower has layers 1–2"):
        drop_layers(Bundle.open(tiny_bundle), text=[3], image=[], out_dir=tmp_path / "out")
    with pytest.raises(ValueError, match="no layers to drop"):
        drop_layers(Bundle.open(tiny_bundle), text=[], image=[], out_dir=tmp_path / "out")
    architecture = Bundle.open(tiny_bundle).spec.architecture | {"adaptation": {"kind": "lora"}}
    tokenizer = Tokenizer.from_file(str(tiny_bundle / TOKENIZER))
    adapted = bundle_of(tmp_path / "adapted", make_model(architecture), tokenizer)
    with pytest.raises(UserError, match="its adaptation belongs to all of its layers"):
        drop_layers(Bundle.open(adapted), text=[1], image=[], out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()
