"""`make demo`: the whole system once on this machine, with every real part in place.

Synthesise people → version them with DVC → train → promote → fill the gallery → index it → search. Every step resumes
what an interrupted demo began and repeats nothing that is done.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import AwareDatetime, Field

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.files import write_json
from pipelines.truth import KnownCrop, Question, truth_of_dataset, truth_of_footage

PARAMS = Path("params.yaml")
HEADLINE = {"R@1": "r1", "R@5": "r5", "R@10": "r10", "mAP": "map"}
PACKAGES = ("personsearch", "torch", "open_clip_torch", "kfp", "mlflow", "dvc", "milvus-lite", "pymilvus")


class FootagePlan(Config):
    """The video that is rendered when the user brings none."""

    people: int
    """How many people walk through."""

    seconds: float
    """Length of the video in seconds."""

    seed: int
    """Another seed gives other people and other walks."""


class DemoConfig(Config):
    """Section `demo` of params.yaml: what `make demo` renders, trains and searches for."""

    synthesize: dict[str, Any]
    """Settings of section `synthesize` for the demo's data set; what is left out keeps its default."""

    recipe: Path
    """The recipe that is trained."""

    footage: FootagePlan
    """The video that is rendered when you bring none (FOOTAGE=video.avi)."""

    gallery_start: AwareDatetime
    """Time of the footage's first frame, with a zone; quoted, because DVC reads the file too and cannot parse dates."""

    queries: tuple[str, ...]
    """Descriptions to search the whole gallery for."""

    footage_queries: tuple[str, ...] = Field(min_length=1)
    """Descriptions to search your own footage for; rendered footage is searched for people who are in it."""

    candidates: int = 5
    """How many candidates each query shows."""


class Narrator:
    """Prints which step is running and records how long each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, sentence: str) -> Iterator[None]:
        print(f"\n▸ {sentence}", flush=True)
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 1)
        print(f"  {self.seconds[name]:.1f} s", flush=True)

    def tell(self, text: str) -> None:
        print(f"  {text}", flush=True)


def run_demo(config: DemoConfig, footage: Path | None, *, home: Path, out: Path) -> dict[str, Any]:
    """Run every step; returns the summary that is also written to `out/summary.json`."""
    from personsearch.installation.settings import Settings

    narrator = Narrator()
    with narrator.step("services", "Start MLflow, Milvus Lite's server and serving"):
        services = _start_services(home)
    settings = Settings()
    with narrator.step("synthesize", "Invent pedestrians, each seen by several cameras, and describe them"):
        raw = _synthesize(config, home / "demo")
    with narrator.step("version", "Version the data set with DVC"):
        dataset = _version(raw, home / "demo")
        narrator.tell(f"revision {dataset.revision}, hash {dataset.dataset_hash}")
    with narrator.step(
        "training", "Run the training pipeline: fetch, prepare, augment, train, compress, gate, register"
    ):
        training = _train(config, dataset, home / "pipelines")
    with narrator.step("promotion", "Promote the challenger to champion"):
        champion = _promote(settings)
        narrator.tell(f"version {champion} of {settings.model_name}; {services.mlflow_uri} shows it")
    with narrator.step("gallery", "Fill the gallery: the test images, and the people found in footage"):
        video = footage or _rendered_footage(config.footage, home / "demo")
        _fill_gallery(config, video, settings, training.outputs, narrator)
    with narrator.step("indexing", "Run the indexing pipeline: encode, verify, switch the alias"):
        _index(settings, champion, home / "pipelines")
    with narrator.step(
        "queries", "Ask, and compare with what is known of the invented people (✓ fits, ✗ does not, ? cannot be told)"
    ):
        questions = _questions(config, video, rendered=footage is None)
        truth = _truth(training.outputs, settings, None if footage else video)
        asked = _ask(config, questions, truth, out, narrator)
    summary = _summary(training.outputs, champion, narrator) | {"queries": asked}
    write_json(out / "summary.json", summary)
    _copy_reports(training.outputs, out)
    _farewell(summary, services, out)
    return summary


def _start_services(home: Path) -> Any:
    from personsearch.installation.services import start_services

    services = start_services(home)
    os.environ["PERSONSEARCH_HOME"] = str(home.resolve())  # the pipeline's steps stand in folders of their own
    return services


def _synthesize(config: DemoConfig, folder: Path) -> Path:
    from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize

    synthesize(
        SynthesizeConfig.model_validate({"workers": os.cpu_count() or 1} | config.synthesize), folder / "synthetic"
    )
    return folder / "synthetic"


def _version(raw: Path, folder: Path) -> Any:
    from personsearch.integrations.dvc.repository import commit_dataset, create_data_repository

    create_data_repository(folder / "data-repository")
    return commit_dataset(folder / "data-repository", raw, "Version the synthetic pedestrians")


def _train(config: DemoConfig, dataset: Any, root: Path) -> Any:
    from personsearch.bundle import Bundle
    from personsearch.installation.settings import Settings
    from personsearch.integrations.kubeflow.runs import run_locally
    from personsearch.integrations.kubeflow.steps import code_version
    from pipelines.arguments import pipeline_arguments
    from pipelines.compile import compile_pipeline

    spec, recipe = compile_pipeline("training", root), _recipe(config.recipe)
    arguments = pipeline_arguments(spec, params=PARAMS, arguments=None, settings=[])
    # Kubeflow's cache does not look into the weights that the recipe starts from.
    arguments |= {
        "code_version": f"{code_version()}-{Bundle.open(Path(recipe['model']['weights'])).fingerprint}",
        "dataset_repository": dataset.repository,
        "dataset_revision": dataset.revision,
        "dataset_path": dataset.path,
        "dataset_hash": dataset.dataset_hash,
        "train_config": recipe,
    }
    run = run_locally(spec, arguments, root=root, mlflow_address=Settings().mlflow_address)
    if not run.outputs["passed"]:
        raise UserError(f"the gate refused the model; its reasons: {Path(run.outputs['decision']).read_text()}")
    return run


def _recipe(path: Path) -> dict[str, Any]:
    """The recipe with an absolute path to its weights, because a pipeline step runs in its own folder."""
    import yaml

    recipe: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    recipe["model"]["weights"] = str(Path(recipe["model"]["weights"]).resolve())
    return recipe


def _promote(settings: Any) -> str:
    from personsearch.installation.platforms import open_registry
    from personsearch.integrations.mlflow.registry import CHALLENGER

    registry = open_registry(settings)
    challenger = registry.alias_version(CHALLENGER)
    if challenger is None:
        raise UserError(f"{settings.mlflow_address}: no challenger was registered")
    registry.promote(challenger)
    return challenger


def _fill_gallery(config: DemoConfig, video: Path, settings: Any, outputs: dict[str, Any], narrator: Narrator) -> None:
    from personsearch.gallery.add_dataset import add_dataset
    from personsearch.gallery.ingest.stage import IngestConfig, ingest
    from personsearch.gallery.store import path_name
    from personsearch.installation.platforms import open_gallery

    gallery = open_gallery(settings)
    add_dataset(Path(outputs["dataset"]), gallery, split="test", start=config.gallery_start)
    found = ingest(
        IngestConfig.from_yaml(PARAMS, "ingest"), video, gallery, camera_id=video.stem, start=config.gallery_start
    )
    narrator.tell(f"{video.name}: tracks of people {found['tracks']}, frames {found['frames']}, camera {video.stem!r}")
    _keep_footage(video, settings.home / "videos" / path_name(video.stem))


def _keep_footage(video: Path, folder: Path) -> None:
    """Put the video where the service looks for whole frames: another name of the same file, where that can be had."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / video.name
    if not kept.exists():
        try:
            kept.hardlink_to(video)
        except OSError:
            shutil.copy(video, kept)


def _rendered_footage(plan: FootagePlan, folder: Path) -> Path:
    from personsearch.data.synthetic.footage import FootageConfig, footage

    video = folder / "junction.avi"
    if not video.is_file():
        footage(FootageConfig(**plan.model_dump()), video)
    return video


def _index(settings: Any, champion: str, root: Path) -> None:
    from personsearch.integrations.kubeflow.runs import run_locally
    from pipelines.arguments import pipeline_arguments
    from pipelines.compile import compile_pipeline

    spec = compile_pipeline("indexing", root)
    arguments = pipeline_arguments(spec, params=PARAMS, arguments=None, settings=[f"model_version={champion}"])
    arguments["gallery"] = str(settings.gallery_folder.resolve())
    run_locally(spec, arguments, root=root, mlflow_address=settings.mlflow_address)


def _truth(outputs: dict[str, Any], settings: Any, rendered: Path | None) -> dict[str, KnownCrop]:
    """What is known of the gallery's crops: of those of the data set, and of those of rendered footage."""
    from personsearch.installation.platforms import open_gallery
    from personsearch.search.filters import CropFilter

    truth = truth_of_dataset(Path(outputs["dataset"]))
    if rendered is not None:
        crops = open_gallery(settings).crops(CropFilter(cameras=(rendered.stem,)))
        truth |= truth_of_footage(rendered.with_suffix(".json"), crops)
    return truth


def _questions(config: DemoConfig, video: Path, *, rendered: bool) -> list[Question]:
    """Of the footage: the first caption of the first people in it, or the user's descriptions. Then of everything."""
    cameras = (video.stem,)
    if rendered:
        people = json.loads(video.with_suffix(".json").read_text(encoding="utf-8"))["people"]
        chosen = list(people.items())[: len(config.footage_queries)]
        of_footage = [Question(person["captions"][0], cameras, number) for number, person in chosen]
    else:
        of_footage = [Question(text, cameras) for text in config.footage_queries]
    return of_footage + [Question(text) for text in config.queries]


def _ask(
    config: DemoConfig, questions: list[Question], truth: Mapping[str, KnownCrop], out: Path, narrator: Narrator
) -> list[dict[str, Any]]:
    """Search for each, and say of how many candidates the description is true; returns that for the summary."""
    from personsearch.encoders.load_graph import load_graph_encoder
    from personsearch.installation.audit.opening import open_audit
    from personsearch.installation.platforms import open_gallery, open_registry, open_store
    from personsearch.installation.settings import Settings
    from personsearch.search.filters import CropFilter
    from personsearch.search.grid import save_grid
    from personsearch.search.live import open_live

    settings = Settings()
    live = open_live(open_store(settings), open_registry(settings), load_graph_encoder)
    pictures, log = open_gallery(settings), open_audit(settings)
    asked = []
    for number, question in enumerate(questions, start=1):
        crop_filter = CropFilter(cameras=question.cameras)
        answer = live.searcher.answer(question.text, k=config.candidates, crop_filter=crop_filter)
        _record(question, answer, live, k=config.candidates, log=log)
        found = [candidate.crop.crop_id for candidate in answer.candidates]
        is_right = {crop_id: question.is_right(truth[crop_id]) for crop_id in found if crop_id in truth}
        picture = out / f"query-{number}.png"
        framed = {crop_id: right for crop_id, right in is_right.items() if right is not None}
        save_grid(picture, question.text, answer, pictures.picture, is_right=framed)
        narrator.tell(f"“{question.text}”, camera {', '.join(question.cameras or ['any'])}  → {picture}")
        for candidate in answer.candidates:
            crop = candidate.crop
            mark = {True: "✓", False: "✗", None: "?"}[is_right[crop.crop_id]] if crop.crop_id in is_right else "·"
            narrator.tell(f"   {mark} {candidate.rank}. {candidate.score:.3f}  {crop.camera_id:<10} {crop.track_id}")
        narrator.tell(f"   {question.verdict(is_right, truth)}")
        told = list(is_right.values())
        asked.append({"text": question.text, "fit": told.count(True), "untold": told.count(None), "shown": len(told)})
    return asked


def _record(question: Question, answer: Any, live: Any, *, k: int, log: Any) -> None:
    """Every search is recorded, those of the demo too: the footage may show real people."""
    from personsearch.installation.audited_search import local_user, search_record

    cameras = None if question.cameras is None else list(question.cameras)
    record = search_record(
        question.text,
        answer,
        who=local_user(),
        purpose="make demo",
        request_id=f"demo-{uuid4().hex}",
        filters={"cameras": cameras, "after": None, "before": None, "k": k, "group_by_track": True},
        collection=live.collection,
        properties=live.properties,
    )
    log.append("search", record)


def _summary(outputs: dict[str, Any], champion: str, narrator: Narrator) -> dict[str, Any]:
    from personsearch.data.records import read_manifest

    metrics = json.loads(Path(outputs["metrics"]).read_text())
    test = read_manifest(Path(outputs["dataset"]), "test")
    return {
        **{name: round(metrics[f"t2i_{name}"], 2) for name in HEADLINE.values()},
        "gallery_images": len(test),
        "gallery_identities": len({record.person_id for record in test}),
        "model_version": champion,
        "versions": {name: version(name) for name in PACKAGES},
        "seconds": narrator.seconds,
    }


def _copy_reports(outputs: dict[str, Any], out: Path) -> None:
    import shutil

    shutil.copyfile(outputs["report"], out / "report.html")
    for name in ("compression.json", "compression.md", "compression.png"):
        shutil.copyfile(Path(outputs["model"]) / name, out / name)


def _farewell(summary: dict[str, Any], services: Any, out: Path) -> None:
    quality = ", ".join(f"{label} {summary[name]:.1f} %" for label, name in HEADLINE.items())
    print(
        f"\n{quality} (text→image, {summary['gallery_images']} unseen images of {summary['gallery_identities']} people)"
        f"\n\n  pictures and report  {out}/ (report.html, compression.md, query-1.png …, summary.json)"
        f"\n  search page          {services.serving_uri}/#key={services.api_key}"
        f"\n  models in MLflow     {services.mlflow_uri}"
        "\n\nThey run on in the background; `make down` stops them.",
        flush=True,
    )


def main() -> None:
    """Read the command line; a user's mistake is one readable line and exit code 2."""
    from personsearch.installation.settings import Settings

    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--footage", type=Path, help="a video of your own instead of the rendered one")
    parser.add_argument(
        "--home",
        type=Path,
        default=Settings().home,
        help="where the installation lives (default: $PERSONSEARCH_HOME, else var)",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where pictures and summary go (default: demo)")
    arguments = parser.parse_args()
    try:
        if arguments.footage is not None and not arguments.footage.is_file():
            raise UserError(f"FOOTAGE={arguments.footage}: no such file")
        config = DemoConfig.from_yaml(PARAMS, "demo")
        run_demo(config, arguments.footage, home=arguments.home.resolve(), out=arguments.out)
    except UserError as error:
        print(f"make demo: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
