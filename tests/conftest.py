"""Tiny real objects that many tests need: model bundles and a prepared data set."""

import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from personsearch.bundle import TOKENIZER, WEIGHTS, Bundle, BundleSpec, Lineage, Preprocessing, write_spec
from personsearch.data.records import ImageRecord, write_manifest
from tests.servers.gallery_tables import replayed_migrations
from tests.servers.postgresql import postgresql
from tests.servers.s3 import S3Server, s3_server

# A shared machine may be slow for a moment: no test judges how long an example took.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")

COLOURS = {"red": (200, 30, 30), "green": (30, 170, 40), "blue": (30, 40, 200), "white": (230, 230, 230)}
ARCHITECTURE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 20, "width": 32, "heads": 2, "layers": 2},
}


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all that the imports made, which stays until the end, and come less often."""
    gc.freeze()
    gc.set_threshold(10_000)


@pytest.fixture(scope="session", autouse=True)
def quick_tables() -> Iterator[None]:
    """New files of SQLite get our tables quickly."""
    with replayed_migrations():
        yield


@pytest.fixture(scope="session")
def new_postgresql() -> Iterator[Callable[..., str]]:
    """A function that makes an empty database in a real PostgreSQL and returns its address."""
    with ExitStack() as stack:
        try:
            new_database = stack.enter_context(postgresql())
        except RuntimeError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"PostgreSQL: {error}")
            pytest.skip(f"PostgreSQL: {error}")
        yield new_database


@pytest.fixture(scope="session")
def new_prepared_postgresql(new_postgresql: Callable[..., str]) -> Callable[[], str]:
    """The same, with our schema: the first is migrated to it, the others are copies."""
    from personsearch.integrations.database.engine import Database
    from personsearch.integrations.database.schema import migrate

    first = new_postgresql()
    database = Database(first)
    migrate(database)
    database.close()
    return lambda: new_postgresql(like=first)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database with our schema, in each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gallery' / 'gallery.db'}"
    address: str = request.getfixturevalue("new_prepared_postgresql")()
    return address


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(s3_server())
        except RuntimeError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"S3: {error}")
            pytest.skip(f"S3: {error}")
        yield server


@pytest.fixture
def s3(s3_process: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """A real S3 store whose endpoint and credentials are in the environment of this test."""
    for name, value in s3_process.environment().items():
        monkeypatch.setenv(name, value)
    return s3_process


@pytest.fixture
def crops_address(request: pytest.FixtureRequest, tmp_path: Path, database_address: str) -> str:
    """Where pictures are kept: in a folder beside SQLite, in S3 beside PostgreSQL."""
    if database_address.startswith("sqlite"):
        return str(tmp_path / "gallery")
    server: S3Server = request.getfixturevalue("s3")
    return server.new_place()


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained dual encoder of 32×16 pixels and 20 tokens, as a torch bundle."""
    import torch
    from safetensors.torch import save_file

    from personsearch.encoders.golden import write_golden
    from personsearch.encoders.torch import TorchEncoder
    from personsearch.models.architecture import Architecture
    from personsearch.models.clip import DualEncoder
    from personsearch.models.vocabulary import learn_tokenizer

    folder = tmp_path_factory.mktemp("bundle")
    tokenizer = learn_tokenizer([f"a person in a {colour} coat" for colour in COLOURS], 300)
    tokenizer.save(str(folder / TOKENIZER))
    text = ARCHITECTURE["text_cfg"] | {"vocab_size": tokenizer.get_vocab_size()}
    architecture = ARCHITECTURE | {"text_cfg": text}
    torch.manual_seed(0)
    state = DualEncoder(Architecture(architecture)).clip.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / WEIGHTS)
    write_spec(
        folder,
        BundleSpec(
            method="tiny",
            architecture=architecture,
            preprocessing=Preprocessing(height=32, width=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            context_length=20,
            embedding_dim=32,
            lineage=Lineage(dataset_hash="none", git_commit=""),
        ),
    )
    write_golden(Bundle.open(folder), TorchEncoder.from_bundle(Bundle.open(folder), "cpu"))
    return folder


@pytest.fixture(scope="session")
def onnx_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_bundle`, exported; copy it before you change a file of it."""
    from personsearch.compression.export import export_onnx
    from personsearch.encoders.golden import write_golden
    from personsearch.encoders.onnx import OnnxEncoder
    from personsearch.models.build import load_bundle_model

    source, folder = Bundle.open(tiny_bundle), tmp_path_factory.mktemp("onnx") / "bundle"
    shutil.copytree(tiny_bundle, folder)
    export_onnx(load_bundle_model(source).model, source.spec, folder)
    write_golden(Bundle.open(folder), OnnxEncoder(Bundle.open(folder), threads=1))
    return folder


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set: 8 people in val and 8 in test, 3 images each, two cameras, known colours."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "images").mkdir()
    numbers = np.random.default_rng(0)
    records = []
    for person in range(16):
        colour = list(COLOURS)[person % len(COLOURS)]
        for view in range(3):
            path = f"images/{person}_{view}.png"
            noise = numbers.integers(-20, 20, (48, 24, 3))
            pixels = np.clip(np.asarray(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / path)
            records.append(
                ImageRecord(
                    image_id=f"{person}-{view}",
                    path=path,
                    person_id=person,
                    split="val" if person < 8 else "test",
                    captions=[f"a person in a {colour} coat", f"{colour} coat number {person}"],
                    source="tiny",
                    camera_id=f"camera {view % 2}",
                    attributes=json.dumps({"upper_colour": colour, "bag": None, "person": f"tall {person % 2}"}),
                )
            )
    write_manifest(folder, records)
    return folder
