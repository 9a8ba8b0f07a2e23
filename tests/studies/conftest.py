"""A data set to train and test on, studies of micro recipes, and runs in this process instead of their own."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from personsearch.cli import model
from personsearch.data.records import read_manifest, write_manifest
from personsearch.errors import UserError
from personsearch.studies.processes import Ended, Place
from personsearch.studies.runs import Outcome, Task, execute
from tests.training.conftest import recipe, trainable

__all__ = ["recipe", "trainable"]  # fixtures of the tests of training, for these tests too

SMALL = {"epochs": 1}


@pytest.fixture(scope="session")
def tested(trainable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trainable` with its validation persons as a test split too."""
    folder = tmp_path_factory.mktemp("tested")
    (folder / "images").symlink_to(trainable / "images")
    records = read_manifest(trainable)
    test = [
        replace(record, image_id=f"test-{record.image_id}", person_id=100 + record.person_id, split="test")
        for record in records
        if record.split == "val"
    ]
    write_manifest(folder, [*records, *test])
    return folder


@dataclass
class InThisProcess:
    """Executes runs by calling the commands here, one at a time; remembers them. `killed_at` breaks off that call."""

    commands: list[list[str]] = field(default_factory=list)
    killed_at: int | None = None
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, task: Task, place: Place) -> Outcome:
        return execute(task, self._command, place)

    def _command(self, arguments: Sequence[str], log: Path, place: Place, *, lock: int) -> Ended:
        app = typer.Typer()
        model.register(app)
        with self.mutex:  # random numbers of one process are one stream
            if self.killed_at == len(self.commands):
                raise KeyboardInterrupt
            self.commands.append(list(arguments))
            try:
                typer.main.get_command(app).main(list(arguments), standalone_mode=False)
            except UserError as error:
                log.write_text(f"personsearch: {error}\n", encoding="utf-8")
                return Ended(2, 1.0, 1.0)
        return Ended(0, 1.0, 1.0)

    @property
    def trained(self) -> list[str]:
        """The folders of the trainings that were called, without their hash."""
        return [
            Path(call[call.index("--out") + 1]).name.rpartition("-")[0] for call in self.commands if call[0] == "train"
        ]


@pytest.fixture
def here() -> InThisProcess:
    return InThisProcess()


@pytest.fixture
def study_file(recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Writes a study over the micro recipe and returns its file."""

    def write(**values: Any) -> Path:
        path = tmp_path / "study.yaml"
        given = {"name": "A study", "recipe": str(recipe(**SMALL)), **values}
        path.write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")
        return path

    return write
