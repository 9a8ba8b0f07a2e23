"""One run of a study: `personsearch train`, then `personsearch evaluate` for each test set, in a folder of its own.

    recipe.yaml      the resolved recipe
    run.json, bundle what training wrote
    test-<hash>/     what evaluation wrote, by the test set's hash
    log.txt          the commands and their output
    cost.json        time and memory of the training, if it was not interrupted

A finished run is found again by its folder's name, which ends in a hash of everything that decides the weights.
"""

import json
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.files import locked, replacing, write_json
from personsearch.processes import last_line, why_it_failed
from personsearch.run_record import RunRecord, read_run_record
from personsearch.studies.processes import Ended, Place, Runner
from personsearch.training.config import TrainConfig
from personsearch.training.train import CHECKPOINTS, run_identity

RECIPE, LOG, COST, BUNDLE, LOCK = "recipe.yaml", "log.txt", "cost.json", "bundle", ".lock"
PROMPT = "$ personsearch "
KEY_LENGTH = 12
FIGURES = ("r1", "r5", "r10", "map", "minp")


@dataclass(frozen=True, slots=True)
class Task:
    """A run to do: its readable name, the configuration, the training set, the test sets and the output folder."""

    name: str
    config: TrainConfig
    dataset: Dataset
    tests: Mapping[str, Dataset]
    folder: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run, in percent: figures from training and from each test set, or why it failed.

    `cost` holds the seconds and MiB of the training, None if it was interrupted.
    """

    folder: Path
    training: dict[str, float] = field(default_factory=dict)
    tests: dict[str, dict[str, float]] = field(default_factory=dict)
    cost: dict[str, float] | None = None
    error: str | None = None


def run_key(config: TrainConfig, dataset: Dataset, start: str | None = None) -> str:
    """The hash of everything that decides a run's weights. `start` is the key of the run that it starts from."""
    if start is not None:
        model = config.model.model_copy(update={"weights": f"run {start}"})
        config = config.model_copy(update={"model": model})
    return run_identity(config, dataset)[:KEY_LENGTH]


def run_folder(runs: Path, name: str, key: str) -> Path:
    """The folder of a key; an existing one keeps the name that it was first given."""
    made = sorted(runs.glob(f"*-{key}"))
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return made[0] if made else runs / f"{slug}-{key}"


def folder_key(folder: Path) -> str:
    """The key in a run folder's name."""
    return folder.name.rpartition("-")[2]


def execute(task: Task, run: Runner, place: Place) -> Outcome:
    """Do what remains of a run. A failure is returned as an outcome, not raised."""
    task.folder.mkdir(parents=True, exist_ok=True)
    with locked(task.folder / LOCK) as lock:  # the runs of a killed study hold it until they end
        try:
            _train(task, run, place, lock)
            for dataset in task.tests.values():
                _test(task, dataset, run, place, lock)
        except (UserError, OSError) as error:
            return Outcome(task.folder, error=str(error))
    return _outcome(task)


def _train(task: Task, run: Runner, place: Place, lock: int) -> None:
    if read_run_record(task.folder):
        return
    resumed = (task.folder / CHECKPOINTS).exists()
    with replacing(task.folder / RECIPE) as temporary:
        temporary.write_text(yaml.safe_dump(task.config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    arguments: list[str | Path] = [
        "train",
        task.folder / RECIPE,
        "--dataset",
        task.dataset.folder,
        "--out",
        task.folder,
    ]
    arguments += ["--device", task.config.device, "--set", f"threads={task.config.threads or place.threads}"]
    ended = _command(arguments, task.folder, run, place, lock)
    if not resumed:
        write_json(
            task.folder / COST, {"seconds": round(ended.seconds, 1), "peak_memory_mib": round(ended.peak_memory_mib)}
        )
    # A finished run needs only its bundle; the checkpoints of a whole study would fill a disk.
    shutil.rmtree(task.folder / CHECKPOINTS, ignore_errors=True)


def _test(task: Task, dataset: Dataset, run: Runner, place: Place, lock: int) -> None:
    out = _test_folder(task.folder, dataset)
    if not read_run_record(out):
        arguments: list[str | Path] = ["evaluate", task.folder / BUNDLE, "--dataset", dataset.folder, "--out", out]
        _command([*arguments, "--split", "test"], task.folder, run, place, lock)


def _command(arguments: Sequence[str | Path], folder: Path, run: Runner, place: Place, lock: int) -> Ended:
    """Run a command. If it fails, raises UserError that says why."""
    words = [str(argument) for argument in arguments]
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(f"{PROMPT}{shlex.join(words)}\n")
    ended = run(words, folder / LOG, place, lock=lock)
    if ended.code:
        said = last_line(folder / LOG)
        raise UserError(f"{words[0]}: {why_it_failed(ended.code, '' if said.startswith(PROMPT) else said)}")
    return ended


def _outcome(task: Task) -> Outcome:
    tests = {name: _record(_test_folder(task.folder, dataset)).metrics for name, dataset in task.tests.items()}
    cost = task.folder / COST
    return Outcome(
        folder=task.folder,
        training=_record(task.folder).metrics,
        tests={name: {figure: found[f"t2i_{figure}"] for figure in FIGURES} for name, found in tests.items()},
        cost=json.loads(cost.read_text(encoding="utf-8")) if cost.is_file() else None,
    )


def _test_folder(folder: Path, dataset: Dataset) -> Path:
    return folder / f"test-{dataset.hash[:KEY_LENGTH]}"


def _record(folder: Path) -> RunRecord:
    record = read_run_record(folder)
    assert record is not None, f"{folder}: its command ended well without a run record"
    return record
