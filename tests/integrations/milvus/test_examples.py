"""The examples of docs/milvus.md run as they stand, against Milvus Lite's server and a real Milvus."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient

from personsearch.images import open_image, resize
from personsearch.integrations.milvus.rows import CROP_FIELDS, DESCRIPTIONS
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.index import CollectionProperties
from serving.settings import ServingSettings
from tests.docs.pages import code_blocks, read
from tests.integrations.conftest import milvus_address
from tests.servers.search_service import search_service
from tests.serving.colours import COLOURS, ColourEncoder, ColourSource, add_figures

KEY = "a-key-for-the-examples-1"
EXAMPLES = [text for language, text in code_blocks("docs/milvus.md") if language == "python"]


@pytest.fixture(scope="module", params=["lite-server", "server"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running installation whose vectors are in Milvus: the variables that the page sets."""
    folder = tmp_path_factory.mktemp("examples")
    settings = ServingSettings(home=folder / "home", api_keys=KEY, watch_seconds=0.2)
    gallery = add_figures(settings.gallery_folder, COLOURS)
    address, name = milvus_address(request.param, request, folder), f"persons_v1_{os.getpid()}"
    store, encoder = MilvusStore(address), ColourEncoder()
    crops = list(gallery.crops())
    pixels = np.stack([resize(open_image(gallery.picture(crop)), 32, 16) for crop in crops])
    properties = CollectionProperties("colours", "1", "fingerprint-1", "data", encoder.embedding_dim)
    store.create(name, properties).upsert(crops, encoder.encode_images(pixels))
    store.switch_alias("persons", name)
    with search_service(settings, ColourSource(store, gallery)) as service:
        yield {"MILVUS_URI": address, "SEARCH_URI": service, "SEARCH_KEY": KEY}
    MilvusClient(address).drop_alias("persons")
    store.drop(name)


def run(example: str, environment: dict[str, str], folder: Path) -> list[str]:
    """What an example prints, line by line, in an interpreter that knows nothing of this code."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, env=own, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_words_find_the_red_coat(environment: dict[str, str], tmp_path: Path) -> None:
    lines = run(EXAMPLES[0], environment, tmp_path)
    assert len(lines) == 5
    assert {line.split()[1] for line in lines[:3]} == {"red-0-0", "red-0-1", "red-0-2"}
    assert "'camera_id': 'junction'" in lines[0]
    assert "embedding" not in lines[0]


def test_a_filter_takes_the_camera_and_the_hour_in_its_zone(environment: dict[str, str], tmp_path: Path) -> None:
    lines = run(EXAMPLES[1], environment, tmp_path)
    assert sorted(line.split()[0].rpartition("-")[0] for line in lines) == sorted(3 * ["red-0", "blue-2", "black-4"])
    assert any(line.startswith("red-0-0 2026-03-01 09:00:00+00:00 0.9") for line in lines)


def test_a_count_names_the_model_and_describes_every_field(environment: dict[str, str], tmp_path: Path) -> None:
    lines = run(EXAMPLES[2], environment, tmp_path)
    assert lines[:3] == ["all 18", 'camera_id == "junction" 9', f"persons_v1_{os.getpid()} version 1"]
    described = dict(line.split(": ", 1) for line in lines[3:])
    assert set(described) == {*CROP_FIELDS, "embedding"}
    assert {name: described[name] for name in DESCRIPTIONS} == DESCRIPTIONS
    assert "float32, of length 1" in described["embedding"]


def test_a_delete_of_nothing_deletes_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    assert run(EXAMPLES[3], environment, tmp_path) == ["18 before, 18 after"]


def test_the_examples_are_short_and_all_of_them_are_run() -> None:
    assert len(EXAMPLES) == 4
    assert max(len([line for line in example.splitlines() if line]) for example in EXAMPLES) <= 12


def test_the_page_has_every_field_in_the_words_of_the_collection() -> None:
    rows = {line.split("|")[1].strip().strip("`"): line for line in read("docs/milvus.md").splitlines() if "|" in line}
    assert set(CROP_FIELDS) <= set(rows)
    for name in CROP_FIELDS:
        said = DESCRIPTIONS[name].rstrip(".").removeprefix("Primary key: ")
        if name not in ("captured_at", "ingested_at", "crop_id"):
            assert said.lower() in rows[name].replace("`", "").lower()
