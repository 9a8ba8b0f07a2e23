"""A bundle is read once, and written whole or not at all."""

import shutil
from collections import Counter
from pathlib import Path

import onnx
import pytest

from personsearch import bundle as bundles
from personsearch.bundle import IMAGE_ONNX, SPEC, WEIGHTS, Bundle, BundleSpec, TextCleaning, write_spec
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.errors import UserError
from personsearch.integrations.mlflow.registry import ModelRegistry
from personsearch.search.exact import ExactStore
from personsearch.search.index import LIVE_ALIAS, CollectionProperties
from personsearch.search.live import open_live
from tests.onnx_bundle import make_onnx_bundle

ROOT = Path(__file__).parents[1]


def test_the_fingerprint_of_the_shipped_weights_stays() -> None:
    assert Bundle.open(ROOT / "weights/tiny-clip").fingerprint == "a09fcd4eef259ad6"


def test_what_cleans_texts_is_in_the_bundle_and_in_its_fingerprint(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    plain, text, prepared_text = Bundle.open(folder), "A man (in red)!", "a man in red"
    assert plain.fingerprint == Bundle.open(tiny_bundle).fingerprint
    found = {plain.fingerprint}
    for cleaning in (TextCleaning(pre_caption=True), TextCleaning(ftfy=True)):
        write_spec(folder, plain.spec.model_copy(update={"text_cleaning": cleaning}))
        found.add(Bundle.open(folder).fingerprint)
    assert len(found) == 3
    write_spec(folder, plain.spec.model_copy(update={"text_cleaning": TextCleaning(pre_caption=True)}))
    prepared = Bundle.open(folder).tokenizer
    assert prepared.encode([text]).tolist() == plain.tokenizer.encode([prepared_text]).tolist()
    assert prepared.encode([text]).tolist() != plain.tokenizer.encode([text]).tolist()


def test_how_images_are_resized_is_part_of_the_fingerprint() -> None:
    spec = Bundle.open(ROOT / "weights/tiny-clip").spec
    bilinear = spec.preprocessing.model_copy(update={"interpolation": "bilinear"})
    other = Bundle(ROOT / "weights/tiny-clip", spec.model_copy(update={"preprocessing": bilinear}))
    assert other.fingerprint != Bundle.open(ROOT / "weights/tiny-clip").fingerprint


def test_opening_a_live_index_reads_the_spec_and_hashes_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_onnx_bundle(tmp_path / "made")
    fingerprint, dim = Bundle.open(made).fingerprint, Bundle.open(made).spec.embedding_dim
    (tmp_path / "model").mkdir()
    made.rename(tmp_path / "model" / f"v1-{fingerprint}")
    store = ExactStore()
    store.create("persons_v1_1", CollectionProperties("model", "1", fingerprint, "data", dim))
    store.switch_alias(LIVE_ALIAS, "persons_v1_1")
    reads: Counter[str] = Counter()
    hash_file, from_yaml = bundles.hash_file, BundleSpec.from_yaml

    def counted_hash(path: Path) -> str:
        reads[path.name] += 1
        return hash_file(path)

    def counted_spec(path: Path) -> BundleSpec:
        reads[path.name] += 1
        return from_yaml(path)

    monkeypatch.setattr(bundles, "hash_file", counted_hash)
    monkeypatch.setattr(BundleSpec, "from_yaml", counted_spec)
    registry = ModelRegistry("http://127.0.0.1:9", "model", cache=tmp_path)
    assert open_live(store, registry, load_graph_encoder).bundle.fingerprint == fingerprint
    assert reads == {"bundle.yaml": 1, "tokenizer.json": 1, "image_encoder.onnx": 1, "text_encoder.onnx": 1}


def test_external_data_of_a_graph_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    folder = make_onnx_bundle(tmp_path / "bundle")
    graph = onnx.load(folder / IMAGE_ONNX)
    onnx.save(graph, folder / IMAGE_ONNX, save_as_external_data=True, location="weights.bin", size_threshold=0)
    before = Bundle.open(folder).fingerprint
    (folder / "notes.txt").write_text("not a part of the model")
    assert Bundle.open(folder).fingerprint == before
    data = bytearray((folder / "weights.bin").read_bytes())
    data[0] ^= 1
    (folder / "weights.bin").write_bytes(data)
    assert Bundle.open(folder).fingerprint != before


def test_a_folder_without_a_spec_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{tmp_path}: not a model bundle"):
        Bundle.open(tmp_path)


def test_a_bundle_replaces_an_older_one_when_it_is_complete(tiny_bundle: Path, tmp_path: Path) -> None:
    spec, target = Bundle.open(tiny_bundle).spec, tmp_path / "bundle"
    for weights in (b"first", b"second"):
        with Bundle.writing(target, spec) as draft:
            draft.path(WEIGHTS).write_bytes(weights)
            assert draft.folder != target
    assert Bundle.open(target).spec == spec
    assert Bundle.open(target).path(WEIGHTS).read_bytes() == b"second"
    assert {path.name for path in target.iterdir()} == {SPEC, WEIGHTS}


def test_a_bundle_that_fails_halfway_leaves_the_older_one(tiny_bundle: Path, tmp_path: Path) -> None:
    spec, target = Bundle.open(tiny_bundle).spec, tmp_path / "bundle"
    with Bundle.writing(target, spec) as draft:
        draft.path(WEIGHTS).write_bytes(b"first")
    with pytest.raises(OSError, match="disk is full"), Bundle.writing(target, spec) as draft:
        raise OSError("disk is full")
    assert Bundle.open(target).path(WEIGHTS).read_bytes() == b"first"
