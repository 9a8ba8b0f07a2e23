"""Rehearse a cluster on this machine: the training pipeline and then the indexing pipeline, in the images.

kfp's DockerRunner gives every step a container of the image that pipelines/compiled/ names, as a pod gets one: without
root and capabilities, its root file system read-only, nothing but addresses and keys in its environment. What outlives
a step is in engines that this command starts and ends: PostgreSQL, an S3 store, a Milvus server, MLflow on the first
two, and a Git server with the data set's repository. infra/rehearsal.yaml says how small everything is.

It needs Linux, root (the Milvus server lives in a network namespace), a Docker engine (DOCKER_HOST, or the usual
socket) on this machine, and images of this code: `make images`.

    python infra/rehearse.py                            both pipelines: a table of the steps, and what they made
    python infra/rehearse.py --kill train index-shard   and again, on empty engines, with `kill -9` of these steps at
                                                        half their time; they are tried again, as cluster.yaml says, and
                                                        what comes out has to be the same

Exit code 0 if every step succeeded and nothing differs, 1 if something differs, 2 if a step failed or anything is
missing.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import TYPE_CHECKING, Any

import yaml

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.files import hash_file
from personsearch.integrations.kubeflow.log import Step, announce_plainly
from personsearch.integrations.kubeflow.runs import PipelineRun, run_locally
from pipelines.arguments import pipeline_arguments
from pipelines.compile import COMPILED

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.servers.engines import Engines, engines

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

    from personsearch.search.index import CollectionStore

ROOT = Path(__file__).parents[1]
TRAINING, INDEXING = COMPILED / "training.yaml", COMPILED / "indexing.yaml"
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
SHARED_MEMORY = "1g"
LABEL = "personsearch.rehearsal"
TIMED = {"MODEL_CARD.md", "compression.png"}  # show measured times, which differ


class Rehearsal(Config):
    """infra/rehearsal.yaml."""

    synthesize: dict[str, Any]
    """Settings of section `synthesize`."""

    recipe: Path
    """The recipe that is trained."""

    recipe_changes: dict[str, Any]
    """What it has instead."""

    training: dict[str, Any]
    """Arguments of the training pipeline."""

    indexing: dict[str, Any]
    """Arguments of the indexing pipeline."""


@dataclass(slots=True)
class Killer:
    """Sends SIGKILL to a step's container, once, so many seconds after the step began."""

    step: str
    seconds: float
    containers: "Callable[[], Sequence[Container]]"
    timer: Timer | None = None
    killed: bool = False

    def begin(self, step: str) -> None:
        """Hear that a step begins."""
        if step == self.step and self.timer is None:
            self.timer = Timer(self.seconds, self._kill)
            self.timer.start()

    def check(self) -> None:
        """Raise UserError unless it has killed."""
        if not self.killed:
            raise UserError(f"{self.step} ended before it was killed")

    def _kill(self) -> None:
        for container in self.containers():
            if runs_step(container.attrs["Args"], self.step):
                container.kill("SIGKILL")
                self.killed = True
                print(f"    {self.step}: killed after {self.seconds:.0f} s", file=sys.stderr, flush=True)
                return


@dataclass(slots=True)
class Attempts:
    """Hears what happens to the steps, and remembers each attempt that has ended; `killers` hear of each beginning."""

    killers: Sequence[Killer] = ()
    ended: list[Step] = field(default_factory=list)

    def __call__(self, step: Step, progress: str) -> None:
        announce_plainly(step, progress)
        if step.state == "running" and not progress:
            for killer in self.killers:
                killer.begin(step.name)
        elif step.state != "running":
            self.ended.append(step)


def main(arguments: Sequence[str] | None = None) -> None:
    """Rehearse, and print what came of it."""
    images = images_of(TRAINING) | images_of(INDEXING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kill", metavar="STEP", nargs="+", default=[], choices=images, help=f"any of {', '.join(images)}"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("var/rehearsal"), help="what is kept: logs, artifacts [%(default)s]"
    )
    options = parser.parse_args(arguments)
    os.umask(0o002)  # steps are in this process's group
    try:
        client = open_docker(set(images.values()))
        plan = Rehearsal.from_yaml(ROOT / "infra" / "rehearsal.yaml")
        folder = options.out.resolve() / f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
        attempts = Attempts()
        expected = rehearse(plan, folder / "undisturbed", attempts)
        print_table("undisturbed", attempts.ended, images)
        print_outcome(expected)
        if options.kill:
            killers = [
                Killer(step, seconds_of(step, attempts.ended) / 2, lambda: containers_of(client))
                for step in options.kill
            ]
            disturbed = Attempts(killers)
            found = rehearse(plan, folder / "killed", disturbed)
            for killer in killers:
                killer.check()
            print_table(f"{', '.join(options.kill)}: kill -9 at half the time", disturbed.ended, images)
            sys.exit(print_differences(differences(expected, found), len(expected)))
    except (UserError, RuntimeError) as error:
        print(f"rehearse: {error}", file=sys.stderr)
        sys.exit(2)


def images_of(spec: Path) -> dict[str, str]:
    """The image of each step of a compiled pipeline."""
    executors = next(yaml.safe_load_all(spec.read_text(encoding="utf-8")))["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): each["container"]["image"] for name, each in executors.items()}


def open_docker(images: Collection[str]) -> "docker.DockerClient":
    """A client of the engine.

    Raises:
        UserError: no engine answers, or it lacks an image.
    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env()
        present = {tag for image in client.images.list() for tag in image.tags}
    except DockerException as error:
        raise UserError(f"no Docker engine answers: {error}; start one, or name it in DOCKER_HOST") from error
    if missing := sorted(set(images) - present):
        raise UserError(f"Docker has no image {', '.join(missing)}; run `make images`")
    return client


def containers_of(client: "docker.DockerClient") -> "list[Container]":
    """The containers of steps that run now."""
    running: list[Container] = client.containers.list(filters={"label": LABEL})
    return running


def runs_step(arguments: Sequence[str], step: str) -> bool:
    """Whether a container with these arguments runs a step: kfp names the file where its result is expected."""
    return any(f"/{step}/executor_output.json" in argument for argument in arguments)


def rehearse(plan: Rehearsal, folder: Path, attempts: Attempts) -> dict[str, Any]:
    """Run both pipelines on empty engines, with what they keep in `folder`; returns what they made, by name."""
    from kfp import local

    from personsearch.gallery.add_dataset import add_dataset
    from personsearch.installation.platforms import open_gallery, open_registry, open_store
    from personsearch.installation.settings import Settings

    with engines() as around, environment(around.variables | {"PERSONSEARCH_HOME": str(folder / "home")}):
        settings = Settings()
        migrate(settings.database_address)
        containers = local.DockerRunner(**container_settings(around))

        def run(spec: Path, arguments: Mapping[str, Any]) -> PipelineRun:
            return run_locally(spec, arguments, root=folder, announce=attempts, containers=containers)

        index = pipeline_arguments(INDEXING, params=None, arguments=None, settings=[]) | plan.indexing
        trained = run(TRAINING, training_arguments(plan, around))
        if not trained.outputs["passed"]:
            raise UserError(
                f"the gate refused the model: {Path(trained.outputs['decision']).read_text(encoding='utf-8')}"
            )
        open_registry(settings).promote(str(trained.returned["register"]))
        add_dataset(Path(trained.outputs["dataset"]), open_gallery(settings), split="test", start=START)
        indexed = run(INDEXING, index)
        store = open_store(settings)
        try:
            return outcome(trained, indexed, store)
        finally:
            store.close()


def migrate(address: str) -> None:
    """Prepare the installation's database."""
    from personsearch.integrations.database.engine import Database
    from personsearch.integrations.database.schema import migrate as run

    database = Database(address)
    run(database)
    database.close()


def training_arguments(plan: Rehearsal, around: Engines) -> dict[str, Any]:
    """Make a data set, version it where steps can fetch it, and return the arguments that name it."""
    from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize
    from personsearch.integrations.dvc.repository import commit_dataset, create_data_repository

    repository = around.repositories / "data"
    with TemporaryDirectory() as scratch:
        pedestrians = Path(scratch) / "pedestrians"
        synthesize(SynthesizeConfig.model_validate(plan.synthesize), pedestrians)
        create_data_repository(repository, remote=around.datasets)
        version = commit_dataset(repository, pedestrians, "Add synthetic pedestrians")
    recipe = yaml.safe_load((ROOT / plan.recipe).read_text(encoding="utf-8")) | plan.recipe_changes
    arguments = pipeline_arguments(TRAINING, params=None, arguments=None, settings=[])
    return (
        arguments
        | plan.training
        | {
            "train_config": recipe,
            "dataset_repository": f"{around.git}/{repository.name}",
            "dataset_revision": version.revision,
            "dataset_path": version.path,
            "dataset_hash": version.dataset_hash,
        }
    )


def container_settings(around: Engines) -> dict[str, Any]:
    """What a step's container gets, as docker's `containers.run` takes it: what restricted Pod Security leaves a pod.

    The image says as which user it runs; what this process has made is written as one of its group.
    """
    from docker.types import Mount

    return {
        "network_mode": "host",
        "group_add": [str(os.getgid())],
        "read_only": True,
        "tmpfs": {"/tmp": "", "/home/personsearch": ""},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "shm_size": SHARED_MEMORY,
        "labels": [LABEL],
        "mounts": [Mount(str(around.socket), str(around.socket), "bind")],
        "environment": dict(around.variables),
    }


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, in which nothing else names an engine."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(("PERSONSEARCH_", "MLFLOW_", "AWS_"))]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def outcome(trained: PipelineRun, indexed: PipelineRun, store: "CollectionStore") -> dict[str, Any]:
    """What both pipelines made, by name: hashes of data, of the bundle's files, of the vectors; the metrics."""
    chosen = Path(trained.outputs["model"]) / "chosen"
    paths = sorted(path for path in chosen.rglob("*") if path.is_file() and path.name not in TIMED)
    metrics = json.loads(Path(trained.outputs["metrics"]).read_text(encoding="utf-8"))
    return {
        "data set, prepared": trained.returned["prepare"],
        "data set, augmented": trained.returned["augment"],
        "model, trained": trained.returned["train"],
        "model, chosen": trained.returned["compress"],
        **{f"bundle: {path.relative_to(chosen)}": hash_file(path) for path in paths},
        **{f"metric: {name}": value for name, value in metrics.items()},
        "gate passed": trained.outputs["passed"],
        "version registered": trained.returned["register"],
        "collection": indexed.returned["index-gallery"],
        **vectors_of(store, indexed.returned["index-gallery"]),
    }


def vectors_of(store: "CollectionStore", collection: str) -> dict[str, Any]:
    """How many vectors a collection holds, and a hash of crop ids and vectors."""
    held = {
        crop.crop_id: vector.tobytes()
        for crops, vectors in store.open(collection).iterate()
        for crop, vector in zip(crops, vectors, strict=True)
    }
    digest = hashlib.sha256()
    for crop_id, vector in sorted(held.items()):
        digest.update(crop_id.encode() + vector)
    return {"vectors": len(held), "vectors, hash": digest.hexdigest()[:16]}


def seconds_of(step: str, ended: Sequence[Step]) -> float:
    """How long a step took.

    Raises:
        UserError: it did not run.
    """
    took = [each.seconds for each in ended if each.name == step]
    if not took:
        raise UserError(f"{step} did not run")
    return took[0]


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """One line for each thing that is not as expected."""
    names = [*expected, *(name for name in found if name not in expected)]
    return [
        f"{name}: {expected.get(name)} expected, found {found.get(name)}"
        for name in names
        if expected.get(name) != found.get(name)
    ]


def print_table(title: str, ended: Sequence[Step], images: Mapping[str, str]) -> None:
    """Print each attempt at each step."""
    print(f"\n{title}")
    for step in ended:
        print(f"{step.name:<16} {images[step.name]:<28} {step.seconds:>7.1f} s  {step.state}")
    print(f"{'':<45} {sum(step.seconds for step in ended):>7.1f} s")


def print_outcome(made: Mapping[str, Any]) -> None:
    """Print what was made, but for single files and metrics."""
    print()
    for name, value in made.items():
        if not name.startswith(("bundle:", "metric:")):
            print(f"{name:<20} {value}")


def print_differences(found: Sequence[str], compared: int) -> int:
    """Print them; returns the exit code."""
    print()
    for line in found:
        print(line)
    print(f"{compared} things compared: {len(found) or 'none'} {'differs' if len(found) == 1 else 'differ'}")
    return 1 if found else 0


if __name__ == "__main__":
    main()
