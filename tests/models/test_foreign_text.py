"""Text towers that are not CLIP's: the vectors of open_clip's own model, whatever padding was cut away."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from personsearch.bundle import BundleSpec, Lineage
from personsearch.compression.export import export_onnx
from personsearch.errors import UserError
from personsearch.models.architecture import Architecture
from personsearch.models.build import build_model, create_model
from personsearch.models.clip import DualEncoder
from personsearch.models.config import ModelConfig

CONTEXT, VOCABULARY, PADDING = 12, 40, 1
VISION = {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 1, "head_width": 16}
TEXT = {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": 32, "heads": 2, "layers": 2}
SIGLIP: dict[str, Any] = {
    "embed_dim": 16,
    "custom_text": True,
    "init_logit_bias": -10,
    "vision_cfg": VISION,
    "text_cfg": TEXT | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "pad_id": PADDING},
}
MOBILE: dict[str, Any] = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT | {"no_causal_mask": True}}
COCA: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": VISION | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
    "text_cfg": TEXT | {"embed_cls": True, "output_tokens": True},
    "multimodal_cfg": TEXT | {"attn_pooler_heads": 2},
}


def texts(padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids with our padding, cut to the longest, and the same as the model was trained with."""
    lengths = torch.tensor([3, 7, 5])
    ids = torch.randint(2, VOCABULARY - 1, (3, CONTEXT), generator=torch.Generator().manual_seed(0))
    ids[torch.arange(3), lengths - 1] = VOCABULARY - 1
    behind = torch.arange(CONTEXT) >= lengths[:, None]
    return ids.masked_fill(behind, 0)[:, :7], ids.masked_fill(behind, padding)


@pytest.mark.parametrize(
    ("architecture", "padding"), [(SIGLIP, PADDING), (MOBILE, 0), (COCA, 0)], ids=["siglip", "mobileclip", "coca"]
)
def test_vectors_are_open_clip_s_own(architecture: dict[str, Any], padding: int) -> None:
    torch.manual_seed(0)
    model = create_model(Architecture(architecture)).eval()
    assert isinstance(model, DualEncoder)
    cut, whole = texts(padding)
    pixels = torch.randn(3, 3, 32, 16)
    with torch.no_grad():
        assert torch.allclose(model.encode_text(cut), model.clip.encode_text(whole, normalize=True), atol=1e-6)
        assert torch.allclose(model.encode_image(pixels), model.clip.encode_image(pixels, normalize=True), atol=1e-6)
    again = create_model(Architecture(architecture))
    again.load_named_weights({name: value.detach() for name, value in model.named_weights().items()})
    assert torch.equal(again.eval().encode_text(cut), model.encode_text(cut))


def test_a_hugging_face_tower_is_built_from_its_folder(tmp_path: Path) -> None:
    from transformers import RobertaConfig

    RobertaConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=CONTEXT + 4,
    ).save_pretrained(tmp_path)  # fmt: skip
    text = {"hf_model_name": str(tmp_path), "hf_pooler_type": "mean_pooler", "hf_proj_type": "mlp"}
    architecture = {
        "embed_dim": 16,
        "vision_cfg": VISION,
        "text_cfg": text | {"context_length": CONTEXT, "pad_id": PADDING},
    }
    torch.manual_seed(0)
    model = create_model(Architecture(architecture)).eval()
    assert isinstance(model, DualEncoder)
    cut, whole = texts(PADDING)
    with torch.no_grad():
        assert torch.allclose(model.encode_text(cut), model.clip.encode_text(whole, normalize=True), atol=1e-6)
    with pytest.raises(UserError, match="takes none; expected 0"):
        model.set_text_attention_dropout(0.05)


def test_an_adaptation_of_another_text_tower_is_refused() -> None:
    with pytest.raises(UserError, match="this architecture has another"):
        create_model(Architecture(SIGLIP | {"adaptation": {"kind": "lora"}}))


def word_tokenizer(path: Path) -> Path:
    """Words by number, padded with 1, ended by the last."""
    words = ["<unk>", "<pad>", *(f"word{number}" for number in range(VOCABULARY - 3)), "</s>"]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", VOCABULARY - 1)])
    tokenizer.enable_padding(pad_id=PADDING, pad_token="<pad>", length=CONTEXT)
    tokenizer.save(str(path))
    return path


def test_its_tokenizer_may_be_a_file_whose_padding_is_kept(tmp_path: Path) -> None:
    vocabulary = str(word_tokenizer(tmp_path / "given.json"))
    text = {key: value for key, value in SIGLIP["text_cfg"].items() if key != "pad_id"}
    given = {"weights": "random", "image_size": (32, 16), "vocabulary": vocabulary, "text_attention_dropout": 0}
    built = build_model(
        ModelConfig.model_validate(given | {"architecture": SIGLIP | {"text_cfg": text}}),
        lambda: [],
        tmp_path / "tokenizer.json",
    )
    assert isinstance(built.model, DualEncoder)
    assert built.model.padding == PADDING
    ids = built.tokenizer.encode(["word3 word4", " ".join(["word1"] * 30)])
    assert ids[0].tolist() == [5, 6, VOCABULARY - 1] + [0] * 9
    assert ids[1, -1] == VOCABULARY - 1
    with pytest.raises(UserError, match=r"model.vocabulary .*no readable tokenizer.json"):
        build_model(
            ModelConfig.model_validate(given | {"architecture": SIGLIP, "vocabulary": str(tmp_path / "none.json")}),
            lambda: [],
            tmp_path / "other.json",
        )


@pytest.mark.parametrize("architecture", [SIGLIP, COCA], ids=["siglip", "coca"])
def test_it_exports_to_onnx(tmp_path: Path, architecture: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = create_model(Architecture(architecture)).eval()
    spec = BundleSpec.model_validate(
        {
            "method": "test",
            "architecture": architecture,
            "preprocessing": {"height": 32, "width": 16, "mean": (0.5,) * 3, "std": (0.5,) * 3},
            "context_length": CONTEXT,
            "embedding_dim": 16,
            "lineage": Lineage(dataset_hash="", git_commit=""),
        }
    )
    export_onnx(model, spec, tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "text_encoder.onnx")
    cut, _ = texts(PADDING)
    for rows, length in ((3, 7), (1, 3), (3, CONTEXT)):
        ids = torch.nn.functional.pad(cut, (0, CONTEXT - 7))[:rows, :length]
        (found,) = session.run(None, {"tokens": ids.numpy()})
        with torch.no_grad():
            wanted = model.encode_text(ids).numpy()
        assert np.abs(1 - (found * wanted).sum(axis=1)).max() < 1e-4
