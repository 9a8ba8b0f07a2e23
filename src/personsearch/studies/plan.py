"""Turns the arms of a study into the configurations of their runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from personsearch.errors import UserError
from personsearch.studies.config import BEST, Settings, Stage, StudyConfig, find_label, stage_labels
from personsearch.training.config import TrainConfig
from personsearch.training.recipe import read_recipe


@dataclass(frozen=True, slots=True)
class Plan:
    """One arm without its seed: a recipe, the ordered `key=value` settings over it, and the arm it starts from."""

    label: str
    recipe: Path
    settings: tuple[str, ...]
    weights_from: str | None = None

    def config(self, seed: int, weights: str | None = None) -> TrainConfig:
        """The configuration of one run. `weights` is the bundle that it starts from and takes its architecture from.

        Raises:
            UserError: the recipe cannot be read, or a setting is wrong.
        """
        start = () if weights is None else settings({"model.weights": weights, "model.architecture": None})
        try:
            return read_recipe(self.recipe, [*self.settings, *start, f"seed={seed}"])
        except UserError as error:
            raise UserError(f"arm {self.label!r}: {error}") from error


def settings(values: Settings) -> tuple[str, ...]:
    """A mapping of dotted keys in the form that `--set` takes."""
    return tuple(
        f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10**9).strip().removesuffix('...').strip()}"
        for key, value in values.items()
    )


def plan_stage(
    study: StudyConfig, stage: Stage, earlier: Mapping[str, Plan], best: str | None
) -> tuple[str | None, list[Plan]]:
    """The arm that a stage builds on, and the plans of its own arms; `best` is the best arm of the stage before."""
    labels = list(earlier)
    recipe = Plan("", study.recipe, settings(study.set))
    built_on = best if stage.builds_on == BEST else stage.builds_on and find_label(stage.builds_on, labels)
    below = earlier[built_on] if built_on else recipe
    plans = []
    for label, arm in zip(stage_labels(stage), stage.arms, strict=True):
        # Settings of the arm below were made for its recipe: an arm with its own recipe starts from the study's.
        ground = replace(recipe, recipe=arm.recipe) if arm.recipe else below
        source = find_label(arm.weights_from, labels) if arm.weights_from else ground.weights_from
        own = settings(stage.set) + settings(arm.set)
        plans.append(Plan(label, ground.recipe, ground.settings + own, source))
    return built_on, plans


def check_plans(study: StudyConfig) -> None:
    """Read every arm's recipe with its settings, so that a mistake in the last stage shows before the first run.

    Which arm will be `best` is not known yet; the first arm of the stage stands in for it.

    Raises:
        UserError: a recipe cannot be read, or a setting is wrong.
    """
    plans: dict[str, Plan] = {}
    first: str | None = None
    for stage in study.stages:
        _, planned = plan_stage(study, stage, plans, first)
        for plan in planned:
            plan.config(study.seeds[0])
        plans |= {plan.label: plan for plan in planned}
        first = planned[0].label
