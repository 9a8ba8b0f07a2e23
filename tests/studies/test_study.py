"""Studies on micro data: stages, seeds, what goes on after a kill, what stands in the table."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from personsearch.errors import UserError
from personsearch.studies.config import StudyConfig
from personsearch.studies.plan import Plan, check_plans, plan_stage
from personsearch.studies.study import study
from personsearch.training.recipe import read_recipe

StudyFile = Callable[..., Path]
ROOT = Path(__file__).parents[2]


def test_a_study_builds_stage_on_stage(tested: Path, study_file: StudyFile, here, tmp_path: Path) -> None:
    fast = {"name": "fast", "set": {"optimiser.lr": 3e-3, "epochs": 2}}
    one = {"name": "one", "set": {"objective.losses": {"n_itc": 1.0}}}
    path = study_file(
        seeds=[0, 1],
        stages=[
            {"name": "rate", "arms": [{"name": "start", "set": {"epochs": 0}}, fast]},
            {"name": "loss", "builds_on": "best", "arms": [{"name": "as before"}, one]},
        ],
    )
    config = StudyConfig.from_yaml(path)
    result = study(config, tested, tmp_path / "out", jobs=2, execute=here)
    rates, losses = result.stages
    assert not result.failed
    assert rates.best == losses.builds_on == "rate/fast"
    assert losses.rows[1].settings == ("optimiser.lr=0.003", "epochs=2", "objective.losses={n_itc: 1.0}")
    assert losses.rows[0].values("r1") == rates.rows[1].values("r1")
    arms = ("rate-start", "rate-fast", "loss-one")
    assert sorted(here.trained) == sorted(f"{arm}-seed-{seed}" for arm in arms for seed in (0, 1))
    assert result.delta(rates.rows[0]) == 0
    assert rates.rows[0].trained_parameters == 0 < (rates.rows[1].trained_parameters or 0)
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    assert record["stages"][1]["arms"][1]["mean"]["r1"] == losses.rows[1].mean("r1")
    table = (tmp_path / "out" / "study.md").read_text()
    assert "Builds on *rate/fast*." in table
    assert Image.open(tmp_path / "out" / "study.png").format == "PNG"
    assert study(config, tested, tmp_path / "out", execute=here).to_json() == result.to_json()
    assert len(here.trained) == 6


def test_a_failed_arm_stands_in_the_table_and_stops_nothing(
    tested: Path, study_file: StudyFile, here, tmp_path: Path
) -> None:
    path = study_file(
        stages=[
            {"name": "size", "arms": [{"name": "too large", "set": {"batch_size": 4000}}]},
            {"name": "after", "builds_on": "best", "arms": [{"name": "never"}]},
            {"name": "start", "arms": [{"name": "from it", "weights_from": "too large"}, {"name": "plain"}]},
        ]
    )
    result = study(StudyConfig.from_yaml(path), tested, tmp_path / "out", execute=here)
    errors = {row.name: row.errors.get(0, "") for row in result.rows}
    assert "batch_size=4000: " in errors["too large"]
    assert errors["never"] == "no arm of stage 'size' finished"
    assert errors["from it"] == "'size/too large', which it starts from, failed"
    assert errors["plain"] == ""
    assert [row.name for row in result.failed] == ["too large", "never", "from it"]
    table = (tmp_path / "out" / "study.md").read_text()
    assert "| too large (1 of 1 failed) | – |" in table
    assert "- too large, seed 0: " in table


def test_an_arm_starts_from_the_bundle_of_another(tested: Path, study_file: StudyFile, here, tmp_path: Path) -> None:
    arm = {"name": "second", "weights_from": "first/base", "set": {"optimiser.lr": 1e-9}}
    path = study_file(stages=[{"name": "first", "arms": [{"name": "base"}]}, {"name": "then", "arms": [arm]}])
    config = StudyConfig.from_yaml(path)
    result = study(config, tested, tmp_path / "out", execute=here)
    first, second = result.rows
    assert not result.failed
    assert second.runs[0].training["val_r1"] == pytest.approx(first.runs[0].training["val_r1"], abs=1e-6)
    recipe = yaml.safe_load((second.runs[0].folder / "recipe.yaml").read_text())
    assert recipe["model"]["weights"] == str(first.runs[0].folder / "bundle")
    (tmp_path / "out").rename(tmp_path / "moved")
    again = study(config, tested, tmp_path / "moved", execute=here)
    assert again.rows[1].values("r1") == second.values("r1")
    assert len(here.trained) == 2


@pytest.mark.parametrize("call", [0, 1, 2, 3])
def test_a_study_broken_off_at_any_command_goes_on(
    tested: Path, study_file: StudyFile, here, tmp_path: Path, call: int
) -> None:
    config = StudyConfig.from_yaml(study_file(arms=[{"name": "one"}, {"name": "two", "set": {"seed": 5, "epochs": 2}}]))
    here.killed_at = call
    with pytest.raises(KeyboardInterrupt):
        study(config, tested, tmp_path / "out", execute=here)
    here.killed_at = None
    result = study(config, tested, tmp_path / "out", execute=here)
    assert not result.failed
    assert sorted(command[0] for command in here.commands) == ["evaluate", "evaluate", "train", "train"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"arms": [{"name": "one"}], "stages": []}, "expected either stages or arms"),
        ({"arms": [{"name": "one"}, {"name": "one"}]}, "have the same name"),
        ({"arms": [{"name": "one", "weights_from": "two"}]}, "'two' means no earlier arm"),
        ({"stages": [{"name": "a", "builds_on": "best", "arms": [{"name": "one"}]}]}, "there is no earlier stage"),
        ({"arms": [{"name": "one"}], "seeds": [1, 1]}, "a seed is listed twice"),
        ({"arms": [{"name": "one"}], "base": "three"}, "'three' means no earlier arm"),
        ({"arms": [{"name": "one", "sett": {}}]}, r"stages\.0\.arms\.0\.sett: unknown; did you mean set\?"),
    ],
)
def test_a_study_that_cannot_be_meant_is_refused(study_file: StudyFile, values: dict, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        StudyConfig.from_yaml(study_file(**values))


def test_a_mistake_in_the_last_arm_is_told_before_the_first_run(
    tested: Path, study_file: StudyFile, here, tmp_path: Path
) -> None:
    stages = [
        {"name": "a", "arms": [{"name": "one"}]},
        {"name": "b", "builds_on": "best", "arms": [{"name": "two", "set": {"objective.losses.no_such": 1}}]},
    ]
    with pytest.raises(UserError, match=r"arm 'b/two': .*'no_such' is not a loss"):
        study(StudyConfig.from_yaml(study_file(stages=stages)), tested, tmp_path / "out", execute=here)
    assert here.commands == []


@pytest.mark.slow
def test_the_command_finishes_after_kill_9(tested: Path, study_file: StudyFile, tmp_path: Path) -> None:
    path = study_file(arms=[{"name": "one", "set": {"epochs": 30}}, {"name": "bad", "set": {"batch_size": 4000}}])
    out = tmp_path / "out"
    command = [sys.executable, "-m", "personsearch", "study", path, "--dataset", tested, "--out", out, "--jobs", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not list(out.glob("runs/*/checkpoints/last.safetensors")):
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    again = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    one, bad = json.loads(again.stdout)["stages"][0]["arms"]
    assert one["mean"]["r1"] >= 0
    assert "batch_size=4000" in bad["runs"][0]["error"]
    assert "arms/bad, seed 0: failed" in again.stderr


@pytest.mark.parametrize("name", ["tbps-clip-tiny", "few-shot-tiny", "initialisation-tiny", "noise-tiny"])
def test_the_studies_in_recipes_can_be_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    check_plans(StudyConfig.from_yaml(Path(f"recipes/studies/{name}.yaml")))


def test_the_published_ablation_is_what_its_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = StudyConfig.from_yaml(Path("recipes/studies/tbps-clip-tiny.yaml"))
    plans: dict[str, Plan] = {}
    for stage in config.stages:
        plans |= {plan.label: plan for plan in plan_stage(config, stage, plans, None)[1]}
    assert plans["losses/N-ITC"].config(0) == plans["augmentation/both"].config(0)
    simplified = read_recipe(Path("recipes/tiny/tbps-clip-simplified.yaml"), ["seed=1", "precision=bf16", "epochs=3"])
    assert plans["losses/+ R-ITC (simplified)"].config(1) == simplified
    base = plans["tricks/CLIP"].config(0)
    assert (base.model.frozen, base.image_augmentation.operations, base.objective.alpha(1)) == ((), (), 0)
