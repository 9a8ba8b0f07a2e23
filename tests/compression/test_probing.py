"""The probing stage on a small real model: figures, what it leaves, what it costs, how it resumes after a kill."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from personsearch.bundle import TOKENIZER, Bundle
from personsearch.compression.probes.walk import Batch, ImageBatches, TextBatches
from personsearch.compression.probing import FIGURES, JOURNAL, PICTURE, TABLE, ProbeConfig, probe
from personsearch.data.dataset import Dataset
from personsearch.data.output_folder import sole_writer
from personsearch.data.records import read_manifest, write_manifest
from personsearch.errors import UserError
from personsearch.evaluation.evaluate import measure
from personsearch.evaluation.measured import EvaluateConfig
from personsearch.models.attention import PackedAttention
from personsearch.models.encoder import PersonEncoder

CONFIG = ProbeConfig(resolution=0.125, max_loss=6.0, batch_size=10, device="cpu")
LAYERS = {"text": 3, "image": 2}
ITEMS = {"text": 48, "image": 24}
SIDE_OF_WIDTH = {48: "text", 32: "image"}
ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 20, "width": 48, "heads": 2, "layers": 3},
}
MakeBundle = Callable[[str, float, dict[str, Any]], Path]


@pytest.fixture(scope="module")
def make_bundle(
    tiny_bundle: Path,
    bundle_of: Callable[[Path, PersonEncoder, Tokenizer], Path],
    make_model: Callable[[dict[str, Any]], PersonEncoder],
    tmp_path_factory: pytest.TempPathFactory,
) -> MakeBundle:
    """A random model with that much noise in every weight, the same for the same architecture."""
    folder, tokenizer = tmp_path_factory.mktemp("probed"), Tokenizer.from_file(str(tiny_bundle / TOKENIZER))

    def make(name: str, noise: float, changes: dict[str, Any]) -> Path:
        text = ARCHITECTURE["text_cfg"] | {"vocab_size": tokenizer.get_vocab_size()}
        model = make_model(ARCHITECTURE | {"text_cfg": text} | changes)
        with torch.no_grad():
            for value in model.parameters():
                value.add_(noise * torch.randn(value.shape))
        return bundle_of(folder / name, model, tokenizer)

    return make


@pytest.fixture(scope="module")
def models(make_bundle: MakeBundle) -> tuple[Path, Path]:
    """A model and its start."""
    return make_bundle("after", 0.2, {}), make_bundle("before", 0.0, {})


@pytest.fixture(scope="module")
def probed(models: tuple[Path, Path], tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("probe")
    probe(CONFIG, *models, tiny_dataset, out_dir)
    return out_dir


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / JOURNAL).read_text().splitlines()[1:]]


@contextmanager
def counted_rows() -> Iterator[Counter[str]]:
    """How many items go through any attention of each tower, which are of different widths."""
    rows: Counter[str] = Counter()

    def count(module: nn.Module, inputs: Any, _: Any) -> None:
        if isinstance(module, PackedAttention):
            rows[SIDE_OF_WIDTH[module.embed_dim]] += len(inputs[0])

    handle = register_module_forward_hook(count)
    try:
        yield rows
    finally:
        handle.remove()


def test_what_a_probe_leaves(probed: Path, models: tuple[Path, Path], tiny_dataset: Path, tmp_path: Path) -> None:
    left = {path.name for path in probed.iterdir()}
    assert left == {FIGURES, TABLE, PICTURE, JOURNAL, "run.json"}
    assert (probed / PICTURE).read_bytes().startswith(b"\x89PNG")
    figures = json.loads((probed / FIGURES).read_text())
    evaluated = measure(EvaluateConfig(split="val"), Bundle.open(models[0]), Dataset.open(tiny_dataset), tmp_path)
    assert figures["r1"] == evaluated.text_to_image.r1
    assert (figures["captions"], figures["images"]) == (ITEMS["text"], ITEMS["image"])
    for side, tower in figures["towers"].items():
        for kind in ("attention", "feed_forward", "layer"):
            assert len(tower["contribution"][kind]) == LAYERS[side]
            assert max(tower["contribution"][kind]) in (0.0, 1.0)
            assert all(step in [k / 8 for k in range(9)] for step in tower["criticality"][kind])
    assert [len(layers) for layers in figures["towers"]["text"]["selections"]] == [1, 2]
    assert json.loads((probed / "run.json").read_text())["lineage"]["before"]


def test_a_criticality_is_where_the_journal_says_that_the_loss_ends(probed: Path) -> None:
    """At the step itself less than `max_loss` is lost, at the one below it is more."""
    figures = json.loads((probed / FIGURES).read_text())
    r1_of = {(line["tower"], line["kind"], line["layer"], line["alpha"]): line["r1"] for line in journal(probed)}
    found = set()
    for side, tower in figures["towers"].items():
        for kind, values in tower["criticality"].items():
            for layer, alpha in enumerate(values, start=1):
                found.add(alpha)
                if alpha < 1:
                    assert figures["r1"] - r1_of[side, kind, layer, alpha] < 6
                if alpha > 0:
                    assert figures["r1"] - r1_of[side, kind, layer, alpha - 0.125] >= 6
    assert len(found) > 2, "the example shows something"


def test_a_probe_costs_at_most_one_pass_of_its_tower_and_none_of_the_other(
    models: tuple[Path, Path], tiny_dataset: Path, tmp_path: Path
) -> None:
    """Beside the one pass of both towers that gives the embeddings everything else is compared with."""
    with counted_rows() as rows:
        probe(CONFIG, *models, tiny_dataset, tmp_path)
    probes = Counter(line["tower"] for line in journal(tmp_path))
    for side in ("text", "image"):
        one_pass = LAYERS[side] * ITEMS[side]
        assert 3 * 2 * LAYERS[side] <= probes[side], "every removal and every start"
        assert rows[side] <= one_pass * (1 + probes[side])
    assert rows["image"] < 0.8 * LAYERS["image"] * ITEMS["image"] * (1 + probes["image"]), "what lies below is shared"


def test_one_tower_alone_runs_the_other_once(models: tuple[Path, Path], tiny_dataset: Path, tmp_path: Path) -> None:
    with counted_rows() as rows:
        metrics = probe(CONFIG.model_copy(update={"towers": ("text",)}), *models, tiny_dataset, tmp_path)
    assert rows["image"] == LAYERS["image"] * ITEMS["image"]
    assert set(metrics) == {"r1", "text_layer_01", "text_layer_02", "text_layer_03"}


def test_a_killed_probe_goes_on(
    probed: Path, models: tuple[Path, Path], tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the third batch of every walk: no batch is read twice, the figures are the same."""
    kinds: tuple[Any, ...] = (TextBatches, ImageBatches)
    real = {kind: kind.read for kind in kinds}
    reads: Counter[tuple[str, int]] = Counter()
    alive = True

    def read(self: Any, number: int) -> Batch:
        nonlocal alive
        if number == 2 and alive:
            alive = False
            raise KeyboardInterrupt
        alive = True
        reads[type(self).__name__, number] += 1
        return real[type(self)](self, number)  # type: ignore[no-any-return]

    for kind in kinds:
        monkeypatch.setattr(kind, "read", read)
    kills = 0
    while not (tmp_path / FIGURES).is_file():
        assert kills < 20
        try:
            probe(CONFIG, *models, tiny_dataset, tmp_path)
        except KeyboardInterrupt:
            kills += 1
    assert (tmp_path / FIGURES).read_text() == (probed / FIGURES).read_text()
    assert len({count for (name, _), count in reads.items() if name == "TextBatches"}) == 1, "as many walks of each"
    assert kills >= 2


def test_a_walk_is_not_gone_on_with_in_other_batches(
    probed: Path, models: tuple[Path, Path], tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of 10 and of 11 are equally many, but other items."""
    real = TextBatches.read

    def killed(self: TextBatches, number: int) -> Batch:
        if number == 2:
            raise KeyboardInterrupt
        return real(self, number)

    monkeypatch.setattr(TextBatches, "read", killed)
    with pytest.raises(KeyboardInterrupt):
        probe(CONFIG, *models, tiny_dataset, tmp_path)
    monkeypatch.setattr(TextBatches, "read", real)
    probe(CONFIG.model_copy(update={"batch_size": 11}), *models, tiny_dataset, tmp_path)
    assert (tmp_path / FIGURES).read_text() == (probed / FIGURES).read_text()


def test_two_at_once_take_turns(
    probed: Path, models: tuple[Path, Path], tiny_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(1) as second:
        with sole_writer(tmp_path):
            waiting = second.submit(probe, CONFIG, *models, tiny_dataset, tmp_path)
            while "another process is at work there" not in caplog.text:
                assert not waiting.done()
                time.sleep(0.01)
            assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        waiting.result(timeout=120)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in probed.iterdir()}


def test_another_loss_measures_only_what_is_missing(
    probed: Path, models: tuple[Path, Path], tiny_dataset: Path, tmp_path: Path
) -> None:
    lines = (probed / JOURNAL).read_text()
    (tmp_path / JOURNAL).write_text(lines)
    probe(CONFIG.model_copy(update={"max_loss": 12.0}), *models, tiny_dataset, tmp_path)
    again = (tmp_path / JOURNAL).read_text()
    assert again.startswith(lines)
    alone = tmp_path / "alone"
    probe(CONFIG.model_copy(update={"max_loss": 12.0}), *models, tiny_dataset, alone)
    assert (alone / FIGURES).read_text() == (tmp_path / FIGURES).read_text()


def test_a_data_set_without_val_is_probed_on_test(
    models: tuple[Path, Path], tiny_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").symlink_to(tiny_dataset / "images")
    write_manifest(tmp_path / "data", read_manifest(tiny_dataset, "test"))
    coarse = CONFIG.model_copy(update={"resolution": 1.0, "towers": ("image",)})
    probe(coarse, *models, tmp_path / "data", tmp_path / "out")
    assert json.loads((tmp_path / "out" / FIGURES).read_text())["split"] == "test"
    assert "has no val images; using test instead" in caplog.text


def test_another_architecture_is_no_start(
    models: tuple[Path, Path], make_bundle: MakeBundle, tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match=r"not the start of this model, its architecture differs: .*text_cfg\.layers 2, not 3"
    ):
        probe(CONFIG, models[0], tiny_bundle, tiny_dataset, tmp_path)
    adapted = make_bundle("adapted", 0.0, {"adaptation": {"kind": "lora"}})
    with pytest.raises(UserError, match="expected an unadapted model; this one has the adaptation lora"):
        probe(CONFIG, adapted, adapted, tiny_dataset, tmp_path)
