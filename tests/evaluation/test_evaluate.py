"""The evaluation stage on a tiny real bundle and data set."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from personsearch.bundle import Bundle
from personsearch.data.dataset import Dataset
from personsearch.data.records import read_manifest, write_manifest
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.evaluation.attributes.measure import AttributesConfig
from personsearch.evaluation.evaluate import evaluate, measure
from personsearch.evaluation.gate import GateConfig, decide
from personsearch.evaluation.measured import EvaluateConfig
from personsearch.evaluation.metrics import retrieval_metrics, too_few_people
from personsearch.evaluation.paired import FirstRanks
from personsearch.search.calibration import Calibration


@pytest.fixture(scope="module")
def evaluated(tiny_bundle: Path, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("evaluation")
    evaluate(EvaluateConfig(examples=3), tiny_bundle, tiny_dataset, out_dir)
    return out_dir


def test_metrics_are_those_of_every_caption_against_every_image(
    tiny_bundle: Path, tiny_dataset: Path, evaluated: Path
) -> None:
    from personsearch.images import open_image, resize

    records = read_manifest(tiny_dataset, "test")
    encoder = TorchEncoder.from_bundle(Bundle.open(tiny_bundle), "cpu")
    pixels = np.stack([resize(open_image(tiny_dataset / record.path), 32, 16) for record in records])
    captions = [(record.person_id, caption) for record in records for caption in record.captions]
    query, gallery = encoder.encode_texts([caption for _, caption in captions]), encoder.encode_images(pixels)
    query_ids = np.array([person for person, _ in captions])
    gallery_ids = np.array([record.person_id for record in records])
    written = json.loads((evaluated / "metrics.json").read_text())
    for direction, metrics in (
        ("t2i", retrieval_metrics(query, gallery, query_ids, gallery_ids)),
        ("i2t", retrieval_metrics(gallery, query, gallery_ids, query_ids)),
    ):
        for name in ("r1", "r5", "r10", "map", "minp"):
            assert written[f"{direction}_{name}"] == pytest.approx(getattr(metrics, name), abs=1e-6)
    assert (written["queries"], written["gallery_images"], written["gallery_identities"]) == (48, 24, 8)


def test_the_rank_of_every_query_is_kept(tiny_dataset: Path, evaluated: Path) -> None:
    written, kept = json.loads((evaluated / "metrics.json").read_text()), FirstRanks.read(evaluated)
    for k, name in ((1, "t2i_r1"), (5, "t2i_r5")):
        assert 100 * (kept.rank <= k).mean() == pytest.approx(written[name])
    people = [record.person_id for record in read_manifest(tiny_dataset, "test") for _ in record.captions]
    assert kept.person_id.tolist() == people


def test_slices_cover_all_queries(evaluated: Path) -> None:
    written = json.loads((evaluated / "metrics.json").read_text())
    assert {part["value"]: part["queries"] for part in written["by_camera"]} == {"camera 0": 32, "camera 1": 16}
    assert set(written["by_attribute"]) == {"upper_colour", "person"}
    for parts in (written["by_camera"], *written["by_attribute"].values()):
        mean = sum(part["r1"] * part["queries"] for part in parts) / 48
        assert mean == pytest.approx(written["t2i_r1"])


def test_what_the_model_sees_is_measured_and_reported(tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    config = EvaluateConfig(examples=1, attributes=AttributesConfig(fewest_people=2))
    metrics = evaluate(config, tiny_bundle, tiny_dataset, tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    asked = {query["text"]: query for query in written["attributes"]["queries"]}
    assert (asked["a person in a red top"]["fitting"], asked["a person in a red top"]["known"]) == (6, 24)
    assert metrics["attribute_base_rate"] == written["attribute_base_rate"] == pytest.approx(25)
    assert any(query["text"] == "a man" for query in written["attributes"]["left_out"])
    page = (tmp_path / "report.html").read_text()
    assert "a person in a red top" in page
    assert "a person with a backpack: 0 people fit and 0 do not; 2 of each needed" in page


def test_attributes_can_be_switched_off(tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    metrics = evaluate(EvaluateConfig(examples=1, attributes=None), tiny_bundle, tiny_dataset, tmp_path)
    assert not [name for name in metrics if name.startswith("attribute")]
    assert json.loads((tmp_path / "metrics.json").read_text())["attributes"] is None
    assert "Not measured." in (tmp_path / "report.html").read_text()


def test_report_is_one_self_contained_page(evaluated: Path) -> None:
    class Sources(HTMLParser):
        found: list[str] = []  # noqa: RUF012 (one use)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in {"script", "link", "iframe"}
            self.found += [value or "" for name, value in attrs if name in {"src", "href"}]

    page = (evaluated / "report.html").read_text()
    Sources().feed(page)
    assert Sources.found
    assert all(source.startswith("data:image/jpeg;base64,") for source in Sources.found)
    assert not re.search(r"\$[a-z]", page)
    written = json.loads((evaluated / "metrics.json").read_text())
    assert f"{written['t2i_r1']:.2f}" in page


def test_a_caption_cannot_inject_markup(tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script> $headline red"
    records = read_manifest(tiny_dataset)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").symlink_to(tiny_dataset / "images")
    write_manifest(tmp_path / "data", [replace(record, captions=[hostile], camera_id="<b>") for record in records])
    evaluate(EvaluateConfig(), tiny_bundle, tmp_path / "data", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "<b>&" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $headline red" in page


def test_a_second_run_uses_the_embeddings_and_gives_the_same(
    tiny_bundle: Path, tiny_dataset: Path, evaluated: Path
) -> None:
    before = {name: (evaluated / name).read_bytes() for name in ("metrics.json", "calibration.json", "report.html")}
    parts = {path: path.stat().st_mtime_ns for path in evaluated.rglob("*.npy")}
    assert len(parts) == 4
    evaluate(EvaluateConfig(examples=3), tiny_bundle, tiny_dataset, evaluated)
    assert {path: path.stat().st_mtime_ns for path in evaluated.rglob("*.npy")} == parts
    assert {name: (evaluated / name).read_bytes() for name in before} == before


def test_calibration_is_written_and_readable(evaluated: Path) -> None:
    calibration = Calibration.model_validate_json((evaluated / "calibration.json").read_bytes())
    assert calibration.split == "val"
    assert 0 <= calibration.expected_calibration_error <= 1


def test_a_data_set_without_val_is_calibrated_on_the_split_and_says_so(
    tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").symlink_to(tiny_dataset / "images")
    write_manifest(tmp_path / "data", read_manifest(tiny_dataset, "test"))
    result = measure(EvaluateConfig(), Bundle.open(tiny_bundle), Dataset.open(tmp_path / "data"), tmp_path / "out")
    assert result.calibration.split == "test"


def test_user_mistakes_are_named(tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no captions on the split's 0 images"):
        evaluate(EvaluateConfig(split="train"), tiny_bundle, tiny_dataset, tmp_path)
    with pytest.raises(UserError, match="not a model bundle"):
        evaluate(EvaluateConfig(), tmp_path, tiny_dataset, tmp_path)
    with pytest.raises(UserError, match="not a prepared data set"):
        evaluate(EvaluateConfig(), tiny_bundle, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("people", "remark"),
    [
        (1, "split test shows one person only: every search finds them, so R@1 is 100 % whatever the model"),
        (2, "split test shows only 2 people: too few for R@1 to tell a good model from a bad one"),
    ],
)
def test_figures_of_few_people_come_with_a_remark(  # noqa: PLR0917 (pytest passes them by name)
    tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, people: int, remark: str
) -> None:
    records = read_manifest(tiny_dataset)
    shown = sorted({record.person_id for record in records if record.split == "test"})[:people]
    few = shutil.copytree(tiny_dataset, tmp_path / "few")
    write_manifest(few, [record for record in records if record.split != "test" or record.person_id in shown])
    metrics = evaluate(EvaluateConfig(examples=1), tiny_bundle, few, tmp_path / "out")
    assert metrics["t2i_r1"] == 100 or people > 1
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["remark"] == remark
    assert remark in caplog.text
    assert f"Careful: {remark}." in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert (
        f"careful: {remark.replace('split test', 'the measured split')}" in decide(GateConfig(), written, None).reasons
    )


def test_ten_people_need_no_remark() -> None:
    assert too_few_people("split test", 9) is not None
    assert too_few_people("split test", 10) is None
