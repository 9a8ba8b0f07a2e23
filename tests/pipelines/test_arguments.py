"""Pipelines by name and arguments from files and flags, as the command line gives them."""

from pathlib import Path

import pytest
from kfp import compiler, dsl

from personsearch.errors import UserError
from personsearch.integrations.kubeflow.runs import parameters
from personsearch.integrations.kubeflow.steps import code_version
from pipelines.arguments import configurations, pipeline_arguments, without_nulls
from pipelines.compile import PIPELINES, check_compiled, compile_pipeline


@dsl.component(base_image="none", install_kfp_package=False)
def step(revision: str, prepare_config: dict, rate: float, code_version: str) -> str:
    return revision


@dsl.pipeline(name="arguments")
def arguments_pipeline(revision: str, code_version: str, prepare_config: dict, rate: float = 1.0) -> None:
    step(revision=revision, prepare_config=prepare_config, rate=rate, code_version=code_version)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "arguments.yaml"
    compiler.Compiler().compile(arguments_pipeline, str(path))
    return path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_later_sources_go_before_earlier_ones(spec: Path, tmp_path: Path) -> None:
    params = write(tmp_path, "params.yaml", "prepare: {strict: true}\ningest: {every: 1}\n")
    nightly = write(tmp_path, "nightly.yaml", "revision: main\nrate: 0.5\n")
    arguments = pipeline_arguments(spec, params=params, arguments=nightly, settings=["rate=2"])
    assert arguments == {
        "prepare_config": {"strict": True},
        "revision": "main",
        "rate": 2,
        "code_version": code_version(),
    }


def test_a_string_stays_as_it_is_written_and_a_file_is_read(spec: Path, tmp_path: Path) -> None:
    recipe = write(tmp_path, "recipe.yaml", "max_caption_words: 2\n")
    settings = ["revision=0012", f"prepare_config=@{recipe}", "code_version=a=b"]
    arguments = pipeline_arguments(spec, params=None, arguments=None, settings=settings)
    assert arguments == {"revision": "0012", "prepare_config": {"max_caption_words": 2}, "code_version": "a=b"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("revision", r"--set 'revision': NAME=VALUE expected"),
        ("=main", r"--set '=main': NAME=VALUE expected"),
        ("rate={a: [}", r"--set rate: not valid YAML"),
        ("prepare_config=@nowhere.yaml", r"nowhere\.yaml: cannot be read"),
    ],
)
def test_a_wrong_setting_is_one_readable_line(spec: Path, setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pipeline_arguments(spec, params=None, arguments=None, settings=[setting])


def test_a_file_of_arguments_must_be_a_mapping(spec: Path, tmp_path: Path) -> None:
    path = write(tmp_path, "list.yaml", "- 1\n")
    with pytest.raises(UserError, match=r"list\.yaml: a YAML mapping expected, found list"):
        pipeline_arguments(spec, params=None, arguments=path, settings=[])


def test_data_set_hash_is_looked_up(tmp_path: Path) -> None:
    training = compile_pipeline("training", tmp_path)
    version = ["dataset_repository=/nowhere", "dataset_revision=main", "dataset_path=data"]
    with pytest.raises(UserError, match="/nowhere"):
        pipeline_arguments(training, params=None, arguments=None, settings=version)
    given = pipeline_arguments(training, params=None, arguments=None, settings=[*version, "dataset_hash=0123abcd.dir"])
    assert given["dataset_hash"] == "0123abcd.dir"


def test_an_unknown_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pipeline 'trainin': unknown; did you mean training\?"):
        compile_pipeline("trainin", tmp_path)


def test_committed_pipelines_are_up_to_date() -> None:
    check_compiled()


def test_a_null_is_left_out_at_any_depth() -> None:
    values = {"augment_config": {"translations": None, "keep": 0}, "model_name": None, "list": [1]}
    assert without_nulls(values) == {"augment_config": {"keep": 0}, "list": [1]}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("gate_config={min_r: 3}", r"^gate_config: min_r: unknown; did you mean min_r1\?"),
        ("train_config={model: {weights: x}, epochs: -1}", r"^train_config: epochs=-1: at least 0 expected"),
        (
            "compress_config={forms: {small: {prun: {}}}}",
            r"^compress_config: forms\.small\.prun: unknown; did you mean prune",
        ),
    ],
)
def test_what_a_later_stage_would_refuse_is_refused_at_once(tmp_path: Path, setting: str, message: str) -> None:
    training = compile_pipeline("training", tmp_path)
    with pytest.raises(UserError, match=message):
        pipeline_arguments(training, params=None, arguments=None, settings=[setting])


def test_every_configuration_of_a_pipeline_is_checked(tmp_path: Path) -> None:
    for name in PIPELINES:
        known = parameters(compile_pipeline(name, tmp_path))
        assert {parameter for parameter in known if parameter.endswith("_config")} <= configurations().keys()
