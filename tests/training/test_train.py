"""The whole stage on a tiny data set: it learns, resumes to the bit after kill -9, and does not repeat itself."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from personsearch.bundle import Bundle
from personsearch.data.dataset import Dataset
from personsearch.data.records import MANIFEST, ImageRecord, dataset_hash, read_manifest, write_manifest
from personsearch.encoders.golden import verify_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.files import hash_file
from personsearch.training.loop import Loop
from personsearch.training.recipe import read_recipe
from personsearch.training.train import make_run, run_identity, train
from tests.training.small_models import SMALL_CLIP

Recipe = Callable[..., Path]


class Recorder:
    """Keeps what a callback is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, float]] = []
        self.epochs: list[tuple[int, int]] = []
        self.config: Mapping[str, object] = {}
        self.final: Mapping[str, float] = {}

    def on_start(self, config: Mapping[str, object]) -> None:
        self.config = config

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        self.steps.append((step, metrics["loss"]))

    def on_epoch(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        self.epochs.append((epoch, step))

    def on_end(self, metrics: Mapping[str, float]) -> None:
        self.final = metrics


def test_it_learns_and_writes_a_whole_bundle(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    watch = Recorder()
    config = read_recipe(recipe(epochs=12))
    metrics = train(config, trainable, tmp_path / "run", callbacks=[watch])
    bundle = tmp_path / "run" / "bundle"
    first, last = watch.steps[0][1], watch.steps[-1][1]
    assert last < 0.8 * first
    assert metrics["val_r1"] > 50
    assert [step for step, _ in watch.steps] == list(range(1, 37))
    assert watch.epochs == [(epoch, 3 * epoch) for epoch in range(1, 13)]
    assert watch.final == metrics
    assert Bundle.open(bundle).spec.lineage.dataset_hash == dataset_hash(trainable)
    assert verify_golden(Bundle.open(bundle), TorchEncoder.from_bundle(Bundle.open(bundle), "cpu")) < 1e-6
    assert json.loads((bundle / "metrics.json").read_text()) == metrics
    assert "48 captions" not in (bundle / "MODEL_CARD.md").read_text()
    assert "| training images, captions, persons | 24, 48, 12 |" in (bundle / "MODEL_CARD.md").read_text()
    assert "Careful: split val shows only 4 people" in (bundle / "MODEL_CARD.md").read_text()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["metrics"] == metrics


def test_captions_that_are_cut_are_counted(
    trainable: Path, recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = shutil.copytree(trainable, tmp_path / "dataset")
    records = read_manifest(dataset)
    long = [
        replace(record, captions=[record.captions[0] + " and a hat" * 20, record.captions[1]]) for record in records
    ]
    write_manifest(dataset, long)
    train(read_recipe(recipe(epochs=1)), dataset, tmp_path / "run")
    remark = "24 of 48 training captions are longer than 20 tokens and are cut"
    assert remark in caplog.text
    assert f"Careful: {remark}." in (tmp_path / "run" / "bundle" / "MODEL_CARD.md").read_text()


def test_the_manifest_is_hashed_once_and_each_split_read_once(
    trainable: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted_hash(path: Path) -> str:
        read.append(path.name)
        return hash_file(path)

    def counted_table(path: Path, *, columns: list[str], filters: list[tuple[str, str, str]]) -> pa.Table:
        read.append(filters[0][2])
        return pq.read_table(path, columns=columns, filters=filters)

    records = "personsearch.data.records"
    monkeypatch.setattr(f"{records}.hash_file", counted_hash)
    monkeypatch.setattr(f"{records}.pq", SimpleNamespace(read_table=counted_table, read_schema=pq.read_schema))
    train(read_recipe(recipe(epochs=1)), trainable, tmp_path / "run")
    assert read == [MANIFEST, "train", "val"]


def test_training_leaves_the_process_its_denormal_numbers(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    train(read_recipe(recipe(epochs=1)), trainable, tmp_path / "run")
    assert float(torch.tensor(1e-39) * 1) > 0


def test_a_finished_run_is_not_repeated_and_another_is_refused(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    config = read_recipe(recipe(epochs=1))
    metrics = train(config, trainable, tmp_path / "run")
    watch = Recorder()
    assert train(config, trainable, tmp_path / "run", callbacks=[watch]) == metrics
    assert watch.steps == []
    with pytest.raises(UserError, match="finished run with another configuration"):
        train(read_recipe(recipe(epochs=2)), trainable, tmp_path / "run")


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from personsearch.training.recipe import read_recipe
    from personsearch.training.train import train
    class Killer:
        def on_start(self, config): pass
        def on_step(self, step, metrics):
            if step == int(sys.argv[4]):
                os.kill(os.getpid(), signal.SIGKILL)
        def on_epoch(self, epoch, step, metrics): pass
        def on_end(self, metrics): pass
    train(read_recipe(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]), callbacks=[Killer()])
"""


def test_a_killed_run_reaches_the_same_weights(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    path = recipe(checkpoint_every=2)
    whole = train(read_recipe(path), trainable, tmp_path / "whole")
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(trainable), str(tmp_path / "killed")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for step in ("6", "9"):
        killed = subprocess.run([*script, step], check=False, env=environment)
        assert killed.returncode == -signal.SIGKILL
        assert not (tmp_path / "killed" / "bundle").exists()
    watch = Recorder()
    resumed = train(read_recipe(path), trainable, tmp_path / "killed", callbacks=[watch])
    assert watch.steps[0][0] == 9
    assert resumed == whole
    wanted, found = (load_file(tmp_path / run / "bundle" / "weights.safetensors") for run in ("whole", "killed"))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_a_checkpoint_of_another_run_is_refused(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(read_recipe(recipe(epochs=1)), trainable, out)
    (out / "run.json").unlink()
    with pytest.raises(UserError, match="another configuration or data set"):
        train(read_recipe(recipe(epochs=1, seed=1)), trainable, out)
    (out / "checkpoints" / "last.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="not a checkpoint"):
        train(read_recipe(recipe(epochs=1)), trainable, out)


def test_what_a_run_is_decides_its_identity_and_where_it_runs_does_not(trainable: Path, recipe: Recipe) -> None:
    def identity(**changes: object) -> str:
        return run_identity(read_recipe(recipe(**changes)), Dataset.open(trainable))

    plain = identity()
    assert identity(threads=2, log_every=7) == plain
    others = [
        identity(seed=1),
        identity(caption_noise=0.25),
        identity(objective={"losses": {"n_itc": 1.0}, "matryoshka": [8]}),
        identity(model=SMALL_CLIP | {"drop_text_layers": [1]}),
    ]
    assert len({plain, *others}) == 1 + len(others)


@pytest.mark.parametrize(
    ("chunk_size", "told"),
    [
        (None, "out of memory with 16 pairs at a time; --set chunk_size=8 computes the same gradient of batch_size 16"),
        (6, "out of memory with 6 pairs at a time; --set chunk_size=3 computes"),
        (1, "out of memory with one pair at a time; use a smaller model.image_size"),
    ],
)
def test_a_gpu_that_is_too_small_is_told_what_to_do(  # noqa: PLR0917 (pytest passes them by name)
    trainable: Path, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, chunk_size: int | None, told: str
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("personsearch.training.step.GradientStep.__call__", full)
    with pytest.raises(UserError, match=told):
        train(read_recipe(recipe(chunk_size=chunk_size)), trainable, tmp_path / "run")


def test_patience_stops_a_run_that_no_longer_improves(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    path = recipe(epochs=20, patience=2, optimiser={"lr": 1e-9}, schedule={"start_lr": 0.0, "end_lr": 0.0})
    watch = Recorder()
    metrics = train(read_recipe(path), trainable, tmp_path / "run", callbacks=[watch])
    assert len(watch.epochs) == metrics["best_epoch"] + 2


def test_fine_tuning_goes_on_from_a_bundle(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    first = train(read_recipe(recipe(epochs=6)), trainable, tmp_path / "first")
    bundle = tmp_path / "first" / "bundle"
    model = {"weights": str(bundle), "image_size": [32, 16], "frozen": ["visual.conv1"]}
    path = recipe(model=model, epochs=1, optimiser={"lr": 1e-7}, weights_dtype="float16")
    second = train(read_recipe(path), trainable, tmp_path / "second")
    assert second["val_map"] == pytest.approx(first["val_map"], abs=5)
    old, new = (load_file(tmp_path / run / "bundle" / "weights.safetensors") for run in ("first", "second"))
    assert new["visual.conv1.weight"].dtype == torch.float16
    assert torch.equal(old["visual.conv1.weight"].half(), new["visual.conv1.weight"])
    card = (tmp_path / "second" / "bundle" / "MODEL_CARD.md").read_text()
    assert f"| started from | bundle (`{Bundle.open(bundle).fingerprint[:16]}`) |" in card
    assert str(tmp_path) not in card


def test_data_sets_that_cannot_be_trained_on_are_refused(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^batch_size=64: .* has 48 training captions; --set batch_size=48 or less expected$"
    ):
        train(read_recipe(recipe(batch_size=64)), trainable, tmp_path / "run")
    records: list[ImageRecord] = read_manifest(trainable, "train")
    (tmp_path / "no_val").mkdir()
    (tmp_path / "no_val" / "images").symlink_to(trainable / "images")
    write_manifest(tmp_path / "no_val", records)
    with pytest.raises(UserError, match="split val has no images"):
        train(read_recipe(recipe()), tmp_path / "no_val", tmp_path / "run")


def test_settings_change_a_recipe(recipe: Recipe) -> None:
    config = read_recipe(recipe(), ["optimiser.lr=1e-4", "model.frozen=[visual.conv1]", "patience=3"])
    assert (config.optimiser.lr, config.model.frozen, config.patience) == (1e-4, ("visual.conv1",), 3)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("optimiser.lr", "key=value expected"),
        ("epochs.more=1", "epochs is not a section"),
        ("optimizer.lr=1", "optimizer: unknown; did you mean optimiser?"),
        ("optimiser.ler=1", "optimiser.ler: unknown; did you mean lr?"),
        ("epochs=[", "--set epochs: not valid YAML"),
        ("batch_size=many", "--set batch_size=many: batch_size='many': an integer expected"),
        ("objective={losses: {ritc: 1}}", "objective.losses: 'ritc' is not a loss; did you mean r_itc?"),
        ("objective.settings={n_itc: {foo: 1}}", "objective: settings.n_itc.foo: unknown; it has no numbers"),
        (
            "objective={losses: {tal: 1}, settings: {tal: {margn: 1}}}",
            "objective: settings.tal.margn: unknown; did you mean margin?",
        ),
        (
            "objective={losses: {ss_it: 1}, settings: {ss_it: {temperature: 0}}}",
            "objective: settings.ss_it.temperature=0: a number above 0 expected",
        ),
        ("optimiser.lr=.inf", "--set optimiser.lr=.inf: optimiser.lr=inf: a finite number expected"),
        ("objective.losses.n_itc=.nan", "objective.losses.n_itc=nan: a finite number expected"),
    ],
)
def test_wrong_settings_are_told_in_one_line(recipe: Recipe, setting: str, reason: str) -> None:
    with pytest.raises(UserError) as told:
        read_recipe(recipe(), [setting])
    assert reason in str(told.value)
    assert str(told.value).replace("'", "").startswith(f"--set {setting.partition('=')[0]}")
    assert "\n" not in str(told.value)


def test_a_mistake_is_told_of_the_file_or_of_the_setting_that_has_it(recipe: Recipe) -> None:
    path = recipe(epochs=-1)
    with pytest.raises(UserError) as told:
        read_recipe(path, ["seed=1", "optimiser.lr=0"])
    assert str(told.value) == (
        f"--set optimiser.lr=0: optimiser.lr=0: a number above 0 expected; {path}: epochs=-1: at least 0 expected"
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_loss_that_explodes_is_one_line_that_names_the_remedy(
    trainable: Path, recipe: Recipe, tmp_path: Path, precision: str
) -> None:
    """Also where it explodes between two steps whose loss is read."""
    path = recipe(optimiser={"lr": 1e30}, schedule={"warmup_epochs": 0}, precision=precision, log_every=1000)
    with pytest.raises(UserError, match=r"^step \d+: the loss is (nan|inf); lower optimiser\.lr"):
        train(read_recipe(path), trainable, tmp_path / "run")


def test_weights_that_explode_in_the_last_step_are_one_line(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    path = recipe(optimiser={"lr": 1e38}, schedule={"warmup_epochs": 0}, batch_size=48, epochs=1)
    with pytest.raises(
        UserError, match=r"^the model's embeddings are not finite: the training diverged; lower optimiser\.lr"
    ):
        train(read_recipe(path), trainable, tmp_path / "run")


def test_every_epoch_tells_its_loss(
    trainable: Path, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Recorder()
    train(read_recipe(recipe(epochs=2)), trainable, tmp_path / "run", callbacks=[watch])
    per_epoch = watch.epochs[0][1]
    losses = [loss for _, loss in watch.steps]
    means = [sum(part) / per_epoch for part in (losses[:per_epoch], losses[per_epoch:])]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert [line.split("  ")[0] for line in lines] == [
        f"epoch {number}: loss {mean:.3f}" for number, mean in enumerate(means, start=1)
    ]
    assert "val_r1" in lines[0]


@dataclass
class Scripted:
    """A validation with given results."""

    results: list[tuple[float, float]]

    def __call__(self) -> dict[str, float]:
        r1, mean_average_precision = self.results.pop(0)
        return {"val_r1": r1, "val_map": mean_average_precision}


@pytest.mark.parametrize(
    ("results", "best"),
    [
        ([(100, 80), (100, 90), (100, 90)], 1),
        ([(50, 90), (60, 10), (60, 10)], 1),
        ([(50, 10), (50, 9), (49, 90)], 0),
    ],
)
def test_map_decides_between_epochs_of_equal_r1(
    trainable: Path, recipe: Recipe, tmp_path: Path, results: list[tuple[float, float]], best: int
) -> None:
    run = make_run(read_recipe(recipe()), Dataset.open(trainable), tmp_path, identity="", device=torch.device("cpu"))
    progress = Loop(replace(run, validator=Scripted(results)))()  # type: ignore[arg-type]
    assert progress.best_epoch == best
