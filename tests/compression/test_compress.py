"""The compression stage on a tiny real model: whole forms, cut ones, trained back ones."""

import json
import re
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from personsearch import bundle as bundles
from personsearch.bundle import CALIBRATION, METRICS, MODEL_CARD, SPEC, Bundle, BundleSpec
from personsearch.compression.compress import CompressConfig, _complete, compress
from personsearch.data.output_folder import sole_writer
from personsearch.data.records import read_manifest, write_manifest
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.errors import UserError
from personsearch.search.calibration import read_calibration

CONFIG = CompressConfig.model_validate(
    {
        "timing_rounds": 2,
        "choice": {"max_loss": 100},
        "forms": {
            "onnx-fp32": {},
            "onnx-int8": {"variant": "onnx-int8"},
            "openvino-int8": {"variant": "onnx-int8", "runtime": "openvino"},
            "small": {
                "trim_vocabulary": True,
                "prune": {"text": {"feed_forward": 0.5}},
                "embedding_dim": 16,
                "recover": {"epochs": 1, "batch_size": 24, "threads": 1, "device": "cpu"},
                "variant": "onnx-int8-static",
            },
        },
    }
)
FORMS = list(CONFIG.forms)


@pytest.fixture(scope="module")
def dataset(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set with its test people as training people."""
    folder = tmp_path_factory.mktemp("trainable") / "dataset"
    shutil.copytree(tiny_dataset, folder)
    records = [replace(each, split="train" if each.split == "test" else each.split) for each in read_manifest(folder)]
    write_manifest(folder, records)
    return folder


@pytest.fixture(scope="module")
def compressed(tiny_bundle: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("compressed")
    compress(CONFIG, tiny_bundle, dataset, out_dir)
    return out_dir


def sizes(folder: Path) -> dict[str, int]:
    return {name: sum(file.stat().st_size for file in (folder / name).glob("*.onnx")) for name in FORMS}


def test_table_has_the_uncompressed_first_and_one_chosen(compressed: Path) -> None:
    rows = json.loads((compressed / "compression.json").read_text())
    assert rows[0]["name"] == "torch"
    assert [row["name"] for row in rows[1:]] == sorted(FORMS, key=lambda name: (-sizes(compressed)[name], name))
    assert [row["name"] for row in rows if row["chosen"]] == ["small"]
    assert list(rows[0]) == ["name", "r1", "map", "bytes", "text_ms", "image_ms", "chosen"]
    by_name = {row["name"]: row for row in rows}
    assert by_name["onnx-fp32"]["r1"] == pytest.approx(rows[0]["r1"], abs=0.1)
    assert by_name["small"]["bytes"] < by_name["onnx-int8"]["bytes"] < by_name["onnx-fp32"]["bytes"]
    assert all(row["text_ms"] > 0 and row["image_ms"] > 0 for row in rows)


@pytest.mark.parametrize("name", [*FORMS, "chosen"])
def test_each_form_is_a_whole_bundle_that_proves_itself(compressed: Path, name: str) -> None:
    folder = compressed / name
    load_graph_encoder(Bundle.open(folder), threads=1, verify=True)
    measured = "small" if name == "chosen" else name
    form = CONFIG.forms[measured]
    assert (Bundle.open(folder).spec.variant, Bundle.open(folder).spec.runtime) == (form.variant, form.runtime)
    assert read_calibration(folder / CALIBRATION) is not None
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(
        (compressed / "evaluation" / measured / "metrics.json").read_text()
    )
    card = (folder / MODEL_CARD).read_text()
    assert card.count("## Compression") == 1
    assert f"This bundle is `{measured}`" in card


def test_a_whole_form_names_its_parent_and_a_cut_one_what_was_cut(tiny_bundle: Path, compressed: Path) -> None:
    assert Bundle.open(compressed / "onnx-int8").spec.lineage.parent == Bundle.open(tiny_bundle).fingerprint
    small = Bundle.open(compressed / "small").spec
    assert small.embedding_dim == 16
    assert "pruned" in small.architecture


def test_report_and_picture_tell_of_every_form(compressed: Path) -> None:
    report = (compressed / "compression.md").read_text()
    assert all(f"- {name}: R@1" in report for name in FORMS)
    assert re.search(r"^\| torch \| [\d.]+ \| 0\.00 \|", report, re.MULTILINE)
    margins = [
        float(margin) for margin in re.findall(r"^- \S+: R@1 [\d.]+ against [\d.]+ ± ([\d.]+)", report, re.MULTILINE)
    ]
    assert len(margins) == len(FORMS)
    assert max(margins) > 0
    assert (compressed / "chosen" / "compression.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_temporary_is_left(compressed: Path) -> None:
    left = {path.relative_to(compressed).parts[0] for path in compressed.rglob("*")}
    tables = {"compression.json", "compression.md", "compression.png", "run.json"}
    assert left == {*FORMS, "chosen", "evaluation", "structures", *tables}
    assert not list(compressed.rglob("*.npy"))


def test_a_second_run_keeps_what_is_finished_and_clears_what_a_killed_one_left(
    tiny_bundle: Path, dataset: Path, compressed: Path
) -> None:
    made = {path: path.stat().st_mtime_ns for path in compressed.rglob("*") if path.suffix in {".onnx", ".safetensors"}}
    made = {path: time for path, time in made.items() if "chosen" not in path.parts}
    (compressed / ".chosen.1.partial").mkdir()
    compress(CONFIG, tiny_bundle, dataset, compressed)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert not list(compressed.glob(".*"))
    assert (compressed / "chosen" / MODEL_CARD).read_text().count("## Compression") == 1


def test_forms_share_the_cuts_that_they_have_in_common(tiny_bundle: Path, dataset: Path, tmp_path: Path) -> None:
    cut = {"trim_vocabulary": True}
    forms = {"a": cut, "b": {**cut, "variant": "onnx-int8"}, "c": {**cut, "embedding_dim": 8}}
    compress(CompressConfig.model_validate({"timing_rounds": 1, "forms": forms}), tiny_bundle, dataset, tmp_path)
    assert sorted(folder.name.split("-")[0] for folder in (tmp_path / "structures").iterdir()) == [
        "projected",
        "vocabulary",
    ]


def test_each_bundle_is_parsed_once_and_each_file_hashed_once(
    tiny_bundle: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, hashed = Counter[Path](), Counter[Path]()
    hash_file, from_yaml = bundles.hash_file, BundleSpec.from_yaml

    def counted_hash(path: Path) -> str:
        hashed[path] += 1
        return hash_file(path)

    def counted_spec(path: Path) -> BundleSpec:
        parsed[path.parent] += 1
        return from_yaml(path)

    monkeypatch.setattr(bundles, "hash_file", counted_hash)
    monkeypatch.setattr(BundleSpec, "from_yaml", counted_spec)
    small = {"trim_vocabulary": True, "variant": "onnx-int8"}
    forms = {"onnx-fp32": {}, "onnx-int8": {"variant": "onnx-int8"}, "small": small}
    compress(CompressConfig.model_validate({"timing_rounds": 1, "forms": forms}), tiny_bundle, dataset, tmp_path)
    (cut,) = (tmp_path / "structures").iterdir()
    assert parsed == dict.fromkeys([tiny_bundle, cut, *(tmp_path / name for name in forms)], 1)
    assert {path.parent for path in hashed} == set(parsed)
    assert set(hashed.values()) == {1}


def test_progress_names_the_form(
    tiny_bundle: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CompressConfig.model_validate({"timing_rounds": 1, "forms": {"small": {"embedding_dim": 16}}})
    compress(config, tiny_bundle, dataset, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "form 1 of 1: small"
    assert [line for line in lines if "encode images" in line] == [
        "torch: encode images: 1/1 done",
        "small: encode images: 1/1 done",
    ]


def test_only_a_torch_bundle_can_be_compressed(compressed: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only a torch bundle"):
        compress(CONFIG, compressed / "onnx-fp32", dataset, tmp_path / "out")
    assert not (tmp_path / "out" / SPEC).exists()


def test_numbers_is_read_as_the_variant() -> None:
    config = CompressConfig.model_validate({"forms": {"small": {"numbers": "onnx-int8"}}})
    assert config.forms["small"].variant == "onnx-int8"
    assert CompressConfig.model_validate(config.model_dump()) == config
    with pytest.raises(ValidationError, match="Extra inputs"):
        CompressConfig.model_validate({"forms": {"small": {"numbers": "onnx-int8", "variant": "onnx-fp16"}}})


@pytest.mark.parametrize("name", ["torch", "chosen", "../up", "a b", ""])
def test_a_form_cannot_take_a_name_that_is_no_folder_of_its_own(name: str) -> None:
    with pytest.raises(ValidationError, match="cannot name a form"):
        CompressConfig.model_validate({"forms": {name: {}}})


def test_a_card_is_never_half_written(tiny_bundle: Path, tmp_path: Path) -> None:
    """What is killed in between leaves the card as it was: the new one is another file."""
    folder, evaluation = tmp_path / "form", tmp_path / "evaluation"
    for each in (folder, evaluation):
        each.mkdir()
    for name in (METRICS, CALIBRATION):
        (evaluation / name).write_text("{}")
    (folder / MODEL_CARD).write_text("# A model\n")
    (tmp_path / "before").hardlink_to(folder / MODEL_CARD)
    _complete(Bundle(folder, Bundle.open(tiny_bundle).spec), evaluation, "Its table.\n")
    assert (tmp_path / "before").read_text() == "# A model\n"
    card = "# A model\n\n## Compression\n\nThis bundle is `form`. Its table.\n"
    assert (folder / MODEL_CARD).read_text() == card
    assert {path.name for path in folder.iterdir()} == {METRICS, CALIBRATION, MODEL_CARD}


def test_two_at_once_take_turns(
    tiny_bundle: Path, dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = CompressConfig.model_validate({"forms": {"shallow": {"drop_text_layers": [9]}}})
    with ThreadPoolExecutor(1) as second:
        with sole_writer(tmp_path):
            waiting = second.submit(compress, config, tiny_bundle, dataset, tmp_path)
            while "another process is at work there" not in caplog.text:
                assert not waiting.done()
                time.sleep(0.01)
        with pytest.raises(UserError, match="9"):
            waiting.result(timeout=60)
    assert not (tmp_path / ".lock").exists()


def test_a_cut_that_does_not_fit_is_a_users_mistake(tiny_bundle: Path, dataset: Path, tmp_path: Path) -> None:
    config = CompressConfig.model_validate({"forms": {"shallow": {"drop_text_layers": [9]}}})
    with pytest.raises(UserError, match="9"):
        compress(config, tiny_bundle, dataset, tmp_path)


def test_a_recovery_that_cannot_train_is_refused_before_any_form_is_built(
    tiny_bundle: Path, dataset: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    config = CompressConfig.model_validate(
        {"forms": {"onnx-fp32": {}, "small": {"embedding_dim": 16, "recover": {"batch_size": 4000}}}}
    )
    expected = r"^compress\.forms\.small\.recover\.batch_size=4000: .* has \d+ training captions; at most that many"
    for data in (dataset, tiny_dataset):
        with pytest.raises(UserError, match=expected):
            compress(config, tiny_bundle, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
