"""A dual transformer from a recipe's model section: from nothing, from its towers' weights, and from a bundle."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from personsearch.bundle import TOKENIZER, WEIGHTS, Bundle, BundleSpec, Lineage, write_spec
from personsearch.errors import UserError
from personsearch.models.build import BuiltModel, build_model, load_bundle_model
from personsearch.models.config import ModelConfig
from personsearch.models.dual_transformer import DualTransformer
from personsearch.models.wordpiece import learn_wordpiece

CAPTIONS = ["a man in a red jacket", "a woman with blue trousers"]
BERT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 24,
}
ARCHITECTURE: dict[str, Any] = {
    "kind": "dual_transformer",
    "embed_dim": 32,
    "vision_cfg": {"patch_size": 16, "stride": 12, "width": 32, "layers": 1, "heads": 2},
    "text_cfg": BERT,
}


def built(folder: Path, **changes: Any) -> BuiltModel:
    values = {"weights": "random", "architecture": ARCHITECTURE, "image_size": (64, 32), "context_length": 12}
    config = ModelConfig(**values | {"frozen": (), "vocabulary": 80} | changes)
    return build_model(config, lambda: CAPTIONS, folder / TOKENIZER)


def bundle_of(made: BuiltModel, folder: Path) -> Path:
    save_file({name: value.detach() for name, value in made.model.named_weights().items()}, folder / WEIGHTS)
    spec = BundleSpec(
        method="ctlg",
        architecture=made.model.architecture.to_dict(),
        preprocessing=made.preprocessing,
        context_length=made.model.context_length,
        embedding_dim=made.model.embedding_dim,
        lineage=Lineage(dataset_hash="none", git_commit=""),
    )
    write_spec(folder, spec)
    return folder


def test_from_nothing_it_learns_its_words_and_takes_the_recipe_s_sizes(tmp_path: Path) -> None:
    made = built(tmp_path, text_attention_dropout=0.2)
    assert isinstance(made.model, DualTransformer)
    assert made.model.visual.grid_size == (5, 2)
    assert made.model.context_length == made.tokenizer.context_length == 12
    assert made.model.architecture["text_cfg"]["vocab_size"] == made.tokenizer.vocab_size
    assert made.model.text.bert.encoder.layer[0].attention.self.dropout.p == 0.2
    with pytest.raises(UserError, match="expected a number of tokens to learn"):
        built(tmp_path / "other", vocabulary="clip")


def test_each_tower_and_the_tokenizer_from_pretrained_weights(tmp_path: Path) -> None:
    from timm.models.vision_transformer import VisionTransformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = learn_wordpiece(CAPTIONS, 70)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(tmp_path / "bert")
    bert = BertModel(BertConfig(**BERT, vocab_size=100))
    bert.save_pretrained(tmp_path / "bert")
    vit = VisionTransformer((48, 48), 16, embed_dim=32, depth=1, num_heads=2)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    sources = {"image_weights": str(tmp_path / "vit.safetensors"), "text_weights": str(tmp_path / "bert")}
    made = built(tmp_path, architecture=ARCHITECTURE | {"text_cfg": {}}, vocabulary="clip", **sources)
    assert isinstance(made.model, DualTransformer)
    assert made.tokenizer.encode(["a red coat"])[0].tolist() == tokenizer.encode("a red coat").ids + [0] * 4
    assert made.model.architecture["text_cfg"]["vocab_size"] == 100
    assert torch.equal(made.model.text.bert.embeddings.word_embeddings.weight, bert.embeddings.word_embeddings.weight)
    assert torch.equal(made.model.visual.blocks[0].attn.qkv.weight, vit.blocks[0].attn.qkv.weight)


def test_a_bundle_gives_it_back_and_starts_another_size(tmp_path: Path) -> None:
    made = built(tmp_path)
    bundle = bundle_of(made, tmp_path)
    made.model.eval()
    again = load_bundle_model(Bundle.open(bundle))
    pixels, ids = torch.randn(2, 3, 64, 32), torch.from_numpy(made.tokenizer.encode(CAPTIONS))
    assert torch.equal(again.model.encode_image(pixels), made.model.encode_image(pixels))
    assert torch.equal(again.model.encode_text(ids), made.model.encode_text(ids))
    wider = built(tmp_path, weights=str(bundle), architecture=None, image_size=(64, 44)).model
    assert isinstance(wider, DualTransformer)
    assert wider.visual.positional_embedding.shape == (1 + 5 * 3, 32)
    assert torch.equal(wider.eval().encode_text(ids), made.model.encode_text(ids))
