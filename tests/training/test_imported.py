"""Checkpoints of published methods' own code become bundles that compute the same."""

import argparse
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from personsearch.bundle import Bundle, TextCleaning
from personsearch.compression.forms import build_form
from personsearch.encoders.onnx import OnnxEncoder
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.evaluation.evaluate import evaluate
from personsearch.evaluation.measured import EvaluateConfig
from personsearch.models.architecture import Architecture
from personsearch.models.authors import Method
from personsearch.models.build import build_model, load_bundle_model
from personsearch.models.config import ModelConfig
from personsearch.models.wordpiece import learn_wordpiece
from personsearch.training.imported import import_checkpoint
from tests.models.authors_models import CONTEXT, HEIGHT_WIDTH, PATCH, PROMPTS, Cskt, Ctlg, Irra, TbpsClip

CAPTIONS = ["A man (in a red coat)!", "a woman with a bag"]
BERT_WORDS = 46


class EasyDict(dict[str, Any]):
    """A class that the reader does not know, as configurations in checkpoints are."""


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    learn_wordpiece(CAPTIONS, BERT_WORDS).save(str(folder / "tokenizer.json"))
    return folder


def tokens(model: str) -> Tensor:
    """Start, three words and the end, which has CLIP's highest id; padded with 0."""
    ids = torch.zeros(2, CONTEXT, dtype=torch.long)
    start, end = (2, 3) if model == "ctlg" else (49406, 49407)
    for row, words in enumerate([[5, 9, 11, 4], [20, 8]]):
        ids[row, : len(words) + 2] = torch.tensor([start, *words, end])
    return ids


def authors_model(method: Method, stride: int = PATCH) -> nn.Module:
    torch.manual_seed(0)
    makers = {
        "tbps-clip": TbpsClip,
        "irra": lambda: Irra(stride=stride),
        "rde": lambda: Irra(rde=True, stride=stride),
        "cskt": Cskt,
        "ctlg": lambda: Ctlg(BERT_WORDS),
    }
    model = makers[method]().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases, too, must arrive where they belong
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def saved(method: Method, model: nn.Module, path: Path) -> Path:
    """In the layout of the method's code, with what it keeps beside the weights."""
    state, optimizer = model.state_dict(), torch.optim.Adam(model.parameters())
    if method == "ctlg":
        content: Any = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}
    elif method == "tbps-clip":
        config = EasyDict(model=EasyDict(embed_dim=512), path=Path("data"), args=argparse.Namespace(a=[1]))
        content = {"model": state, "optimizer": optimizer.state_dict(), "config": config}
    else:
        content = {"model": state, "optimizer": optimizer.state_dict(), "num_epoch": 60, "epoch": 7}
    torch.save(content, path)
    return path


SIZES = {"ctlg": (40, 24)}
LEFT_OUT: dict[str, dict[str, int]] = {
    "tbps-clip": {"simclr_mlp": 4},
    "irra": {"classifier": 2, "cross_attn": 4, "mlm_head": 2},
    "rde": {"visul_emb_layer": 2, "texual_emb_layer": 2},
    "cskt": {},
    "ctlg": {},
}


@pytest.mark.parametrize(("method", "stride"), [*((method, PATCH) for method in LEFT_OUT), ("irra", 4), ("rde", 4)])
def test_embeddings_are_those_of_the_authors_model(method: Method, stride: int, bert: Path, tmp_path: Path) -> None:
    """Also of overlapping patches, whose stride follows from the number of positions."""
    model, size = authors_model(method, stride), SIZES.get(method, HEIGHT_WIDTH)
    path = saved(method, model, tmp_path / "best.pth")
    vocabulary = str(bert / "tokenizer.json") if method == "ctlg" else None
    made = import_checkpoint(path, method, tmp_path / "bundle", image_size=size, vocabulary=vocabulary)
    assert made.left_out == LEFT_OUT[method]
    built = load_bundle_model(Bundle.open(tmp_path / "bundle"))
    pixels, ids = torch.randn(2, 3, *size), tokens(method)
    with torch.no_grad():
        image, text = model.features(pixels, ids)
        found_image, found_text = built.model.encode_image(pixels), built.model.encode_text(ids[:, :8])
    assert torch.allclose(found_image, normalize(image, dim=-1), atol=1e-5)
    assert torch.allclose(found_text, normalize(text, dim=-1), atol=1e-5)
    assert (text[0] - text[1]).abs().max() > 0.1


@pytest.mark.parametrize(
    ("method", "mean", "cleaning", "context"),
    [
        ("tbps-clip", 0.485, TextCleaning(ftfy=True, pre_caption=True), CONTEXT),
        ("irra", 0.48145466, TextCleaning(ftfy=True), CONTEXT),
        ("cskt", 0.48145466, TextCleaning(ftfy=True), CONTEXT - 2 * PROMPTS),
        ("ctlg", 0.485, TextCleaning(), 64),
    ],
)
def test_images_and_texts_are_prepared_as_the_authors_do(  # noqa: PLR0917
    method: Method, mean: float, cleaning: TextCleaning, context: int, bert: Path, tmp_path: Path
) -> None:
    path, size = saved(method, authors_model(method), tmp_path / "best.pth"), SIZES.get(method, HEIGHT_WIDTH)
    vocabulary = str(bert / "tokenizer.json") if method == "ctlg" else None
    spec = import_checkpoint(path, method, tmp_path / "bundle", image_size=size, vocabulary=vocabulary).bundle.spec
    assert (spec.preprocessing.height, spec.preprocessing.width) == size
    assert spec.preprocessing.interpolation == ("bilinear" if method in {"irra", "cskt"} else "bicubic")
    assert (spec.preprocessing.mean[0], spec.text_cleaning, spec.context_length) == (mean, cleaning, context)


def test_overlapping_patches_are_exported_and_trained_at_another_size(tmp_path: Path) -> None:
    path = saved("irra", authors_model("irra", 4), tmp_path / "best.pth")
    bundle = import_checkpoint(path, "irra", tmp_path / "bundle", image_size=HEIGHT_WIDTH).bundle
    assert bundle.spec.architecture["vision_cfg"]["stride"] == 4
    assert Architecture(bundle.spec.architecture).grid == (7, 3)
    pictures = np.random.default_rng(0).integers(0, 256, (2, *HEIGHT_WIDTH, 3), dtype=np.uint8)
    onnx = OnnxEncoder(build_form(bundle, "onnx-fp32", "onnxruntime", tmp_path / "onnx"), threads=1)
    expected = TorchEncoder.from_bundle(bundle, "cpu").encode_images(pictures)
    assert np.allclose(onnx.encode_images(pictures), expected, atol=1e-4)
    larger = build_model(ModelConfig(weights=str(bundle), image_size=(40, 24)), list, tmp_path / "tokenizer.json").model
    assert larger.architecture.grid == (9, 5)
    larger.train().encode_image(torch.randn(2, 3, 40, 24)).sum().backward()


def test_positions_that_several_strides_make_are_not_guessed(tmp_path: Path) -> None:
    path = saved("irra", authors_model("irra", 5), tmp_path / "best.pth")
    with pytest.raises(UserError, match="10 image positions fit patches of 8 every 5, 6 pixels of 32×16"):
        import_checkpoint(path, "irra", tmp_path / "bundle", image_size=HEIGHT_WIDTH)


def test_towers_saved_one_by_one_are_read_too(bert: Path, tmp_path: Path) -> None:
    model = authors_model("ctlg")
    towers = {name: getattr(model, name).state_dict() for name in ("model_img", "model_txt")}
    torch.save(towers, tmp_path / "best.pth.tar")
    made = import_checkpoint(
        tmp_path / "best.pth.tar", "ctlg", tmp_path / "bundle", image_size=(40, 24), vocabulary=str(bert)
    )
    assert made.bundle.spec.architecture["vision_cfg"]["stride"] == 6


class Attack:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Any, given: Any) -> None:
        self.called = function, (given,)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.called


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_not_run(legacy: bool, tmp_path: Path) -> None:
    model, place = authors_model("irra"), tmp_path / "ran"
    attacks = [
        Attack(Path.touch, place),
        Attack(os.system, f"touch {place}"),
        Attack(eval, f"open({str(place)!r}, 'w')"),
    ]
    content = {"model": model.state_dict(), "config": {"inner": [*attacks, EasyDict(a=1)]}}
    torch.save(content, tmp_path / "best.pth", _use_new_zipfile_serialization=not legacy)
    import_checkpoint(tmp_path / "best.pth", "irra", tmp_path / "bundle", image_size=HEIGHT_WIDTH)
    assert not place.exists()


@pytest.mark.parametrize(
    ("content", "method", "reason"),
    [
        ({"epoch": 3, "args": EasyDict(a=1)}, "irra", "no checkpoint with weights, but a dictionary of epoch, args"),
        (
            EasyDict(a=1),
            "irra",
            r"a whole pickled object, tests\.training\.test_imported\.EasyDict; save its state",
        ),
        ([1, 2], "irra", "no checkpoint with weights, but a list"),
        ({"visual.proj": torch.ones(2)}, "irra", r"no tensor has a name of irra's code; it has visual\.proj, …"),
        ({"base_model.ln_final.weight": torch.ones(2)}, "tbps-clip", "its names are those of irra; give --from irra"),
        ({"base_model.visual.proj": torch.ones(2, 2)}, "irra", "no complete model of irra: 'visual.conv1.weight'"),
        ({"base_model.visual.layer1.0.conv1.weight": torch.ones(2)}, "irra", "its image tower is no ViT of CLIP"),
    ],
)
def test_a_file_that_is_something_else_is_named(content: Any, method: Method, reason: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "best.pth")
    with pytest.raises(UserError, match=reason) as caught:
        import_checkpoint(tmp_path / "best.pth", method, tmp_path / "bundle", image_size=HEIGHT_WIDTH)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "bundle").exists()


def zipped(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def saved_bytes(content: Any, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


WHOLE = saved_bytes({"a": torch.zeros(9)})
OLD = saved_bytes({"a": torch.zeros(9)}, legacy=True)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "is an empty file; a file that torch.save or safetensors wrote expected"),
        (zipped(readme="", best="x"), "is a zip archive of readme, best; unpack it first; a file that"),
        (b"\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning", "is a web page, such as"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer, which names"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "is a JPEG picture; a file that"),
        (b"\x1f\x8b\x08" + bytes(99), "is an archive packed by gzip; unpack it first"),
        (b"image,caption\n1.jpg,a coat\n", "is a text file that begins with 'image,caption'"),
        (pickle.dumps({"epoch": 1}, protocol=4), "is a plain pickle: a dictionary of epoch; a file that"),
        (pickle.dumps(print), "is a plain pickle: the name of builtins.print; a file that"),
        (safetensors.torch.save({"fc.weight": torch.zeros(2)}), "no tensor has a name of irra's code; it has fc."),
        (WHOLE[: len(WHOLE) // 2], "is damaged, cut off or of an unknown kind"),
        (OLD[: len(OLD) // 2], "is damaged, cut off or of an unknown kind"),
    ],
)
def test_a_wrong_file_is_named(content: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "best.pth").write_bytes(content)
    with pytest.raises(UserError) as caught:
        import_checkpoint(tmp_path / "best.pth", "irra", tmp_path / "bundle")
    assert str(caught.value).startswith(f"{tmp_path / 'best.pth'}: {kind}")
    assert str(caught.value).isprintable()


def test_another_size_vocabulary_or_folder_is_asked_for(bert: Path, tmp_path: Path) -> None:
    path = saved("irra", authors_model("irra"), tmp_path / "best.pth")
    with pytest.raises(
        UserError, match=r"8 image positions do not fit 384×128 pixels in patches of 8, overlapping or not; .*--image-"
    ):
        import_checkpoint(path, "irra", tmp_path / "bundle")
    with pytest.raises(UserError, match=r"the model has 49,408 tokens, the vocabulary \d+; .* --vocabulary"):
        import_checkpoint(path, "irra", tmp_path / "bundle", image_size=HEIGHT_WIDTH, vocabulary=str(bert))
    with pytest.raises(UserError, match="is no bundle that could be replaced"):
        import_checkpoint(path, "irra", tmp_path, image_size=HEIGHT_WIDTH)
    assert path.is_file()


def test_the_bundle_is_evaluated_exported_and_trained_like_any_other(tiny_dataset: Path, tmp_path: Path) -> None:
    path = saved("tbps-clip", authors_model("tbps-clip"), tmp_path / "checkpoint_best.pth")
    bundle = import_checkpoint(path, "tbps-clip", tmp_path / "bundle", image_size=HEIGHT_WIDTH).bundle
    metrics = evaluate(EvaluateConfig(split="test"), bundle.folder, tiny_dataset, tmp_path / "evaluation")
    assert 0 <= metrics["t2i_r1"] <= 100
    form = build_form(bundle, "onnx-fp32", "onnxruntime", tmp_path / "onnx")
    assert form.spec.text_cleaning == bundle.spec.text_cleaning
    built = build_model(ModelConfig(weights=str(bundle), image_size=HEIGHT_WIDTH), list, tmp_path / "tokenizer.json")
    assert built.tokenizer.cleaning.pre_caption
    assert built.model.architecture["quick_gelu"] is True
    built.model.train().encode_image(torch.randn(2, 3, *HEIGHT_WIDTH)).sum().backward()
