"""The configuration of a study: arms over a recipe, in stages that may build on one another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from personsearch.config import Config

BEST = "best"
ONLY_STAGE = "arms"
Settings = dict[str, Any]


class Arm(Config):
    """One row of the table: settings over what its stage builds on."""

    name: str = Field(min_length=1)
    """Name in the table; elsewhere `stage/name` where it is not unique."""

    set: Settings = Field(default={})
    """Dotted settings, as `--set` takes them; `epochs: 0` measures the start itself (zero-shot)."""

    recipe: Path | None = None
    """A recipe in place of the study's."""

    weights_from: str | None = None
    """An arm of an earlier stage; seed by seed, its bundle is what this one starts from."""

    published_r1: float | None = None
    """R@1 that a paper reports for the arm, shown beside."""


class Stage(Config):
    """Arms that are compared."""

    name: str = Field(min_length=1)
    """Name in the table."""

    builds_on: str | None = None
    """What the arms start from: an earlier arm's name, or `best`, the arm of the stage before with the best mean
    validation R@1; null for the recipe.
    """

    set: Settings = Field(default={})
    """Dotted settings of all arms of the stage."""

    arms: tuple[Arm, ...] = Field(min_length=1)
    """The arms."""


class StudyConfig(Config):
    """A study: `stages`, or `arms` alone where one stage is enough.

    An arm is named elsewhere by `stage/arm`, or by its own name where no other has it.
    """

    name: str
    """Title of the table."""

    recipe: Path
    """The recipe that every arm starts from."""

    set: Settings = Field(default={})
    """Dotted settings of all arms."""

    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Every arm is trained once with each seed."""

    base: str | None = None
    """The arm that Δ is measured against; the first when null."""

    stages: tuple[Stage, ...] = Field(min_length=1)
    """Stages in order; a later one may build on an earlier one's best arm."""

    @model_validator(mode="before")
    @classmethod
    def _arms_are_a_stage(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "arms" in values:
            if "stages" in values:
                raise ValueError("expected either stages or arms, not both")
            values = {**values, "stages": [{"name": ONLY_STAGE, "arms": values["arms"]}]}
            del values["arms"]
        return values

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is listed twice")
        return seeds

    @model_validator(mode="after")
    def _references_exist(self) -> "StudyConfig":
        labels = [label for stage in self.stages for label in stage_labels(stage)]
        if len(set(labels)) < len(labels):
            raise ValueError("two arms of one stage, or two stages, have the same name")
        earlier: list[str] = []
        for stage in self.stages:
            if stage.builds_on == BEST and not earlier:
                raise ValueError(f"{stage.name}: builds_on: best, but there is no earlier stage")
            references = [arm.weights_from for arm in stage.arms]
            references += [stage.builds_on] if stage.builds_on != BEST else []
            for reference in filter(None, references):
                find_label(reference, earlier)
            earlier += stage_labels(stage)
        if self.base is not None:
            find_label(self.base, labels)
        return self

    @property
    def base_label(self) -> str:
        labels = [label for stage in self.stages for label in stage_labels(stage)]
        return labels[0] if self.base is None else find_label(self.base, labels)


def stage_labels(stage: Stage) -> list[str]:
    """The full names of a stage's arms."""
    return [f"{stage.name}/{arm.name}" for arm in stage.arms]


def find_label(reference: str, labels: list[str]) -> str:
    """The full name of the arm that a reference means.

    Raises:
        ValueError: it matches none of `labels`, or more than one.
    """
    found = [label for label in labels if reference in {label, label.partition("/")[2]}]
    if len(found) != 1:
        what = "means no earlier arm" if not found else f"means {len(found)} arms"
        raise ValueError(f"{reference!r} {what}; known: {', '.join(labels) or 'none'}")
    return found[0]
