"""The weights before fine-tuning: from a bundle or a file, of the same architecture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from personsearch.bundle import TOKENIZER, WEIGHTS, Bundle
from personsearch.compression.probes.towers import hash_weights, take_apart, weights_before
from personsearch.errors import UserError
from personsearch.models.architecture import SIDES
from personsearch.models.build import load_bundle_model
from personsearch.models.encoder import PersonEncoder


def test_a_bundle_and_its_file_of_weights_are_the_same_start(tiny_bundle: Path) -> None:
    model = load_bundle_model(Bundle.open(tiny_bundle)).model
    towers = [take_apart(model, side) for side in SIDES]
    for source in (tiny_bundle, tiny_bundle / WEIGHTS):
        for tower, blocks in zip(towers, weights_before(source, model, towers), strict=True):
            assert len(blocks) == len(tower.blocks) == 2
            for block, weights in zip(tower.blocks, blocks, strict=True):
                assert all(torch.equal(weights[name], value) for name, value in block.named_parameters())
    assert hash_weights(tiny_bundle) == hash_weights(tiny_bundle / WEIGHTS)


def test_another_image_size_context_or_vocabulary_is_no_other_architecture(
    tiny_bundle: Path,
    tmp_path: Path,
    bundle_of: Callable[[Path, PersonEncoder, Tokenizer], Path],
    make_model: Callable[[dict[str, Any]], PersonEncoder],
) -> None:
    model = load_bundle_model(Bundle.open(tiny_bundle)).model
    other = model.architecture.to_dict()
    other["vision_cfg"]["image_size"] = [48, 16]
    other["text_cfg"] |= {"context_length": 24, "vocab_size": 400}
    start = bundle_of(tmp_path / "start", make_model(other), Tokenizer.from_file(str(tiny_bundle / TOKENIZER)))
    towers = [take_apart(model, side) for side in SIDES]
    assert len(weights_before(start, model, towers)) == 2
    other["text_cfg"]["layers"] = 3
    deeper = bundle_of(tmp_path / "deeper", make_model(other), Tokenizer.from_file(str(tiny_bundle / TOKENIZER)))
    with pytest.raises(UserError, match=r"architecture differs: text_cfg\.layers 3, not 2"):
        weights_before(deeper, model, towers)


def test_what_is_no_start_is_told(tiny_bundle: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = load_bundle_model(Bundle.open(tiny_bundle)).model
    towers = [take_apart(model, "text")]
    save_file({"transformer.resblocks.0.ln_1.weight": torch.ones(16)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="tensors do not fit the architecture"):
        weights_before(tmp_path / "other.safetensors", model, towers)
    for source in (tmp_path, tmp_path / "nothing.pt"):
        with pytest.raises(UserError, match="neither a torch bundle nor a file of weights"):
            hash_weights(source)
