"""May a model be registered? It must reach absolute limits and not fall behind the champion."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from personsearch.config import Config
from personsearch.errors import UserError, explain
from personsearch.evaluation.attributes.limits import AUC
from personsearch.evaluation.metrics import points_lost, too_few_people

TAG_LENGTH = 5000  # of a value, in MLflow
VERDICT_ABOVE = "verdict_confirmed_above_rejected"
VERDICT_R1 = "verdict_r1"
VERDICT_DESCRIPTIONS = "verdict_descriptions"


class GateConfig(Config):
    """Section `gate` of params.yaml: the conditions for registering a model; null switches a condition off."""

    min_r1: float = Field(default=0.0, ge=0, le=100)
    """Least R@1 (text→image), in percent."""

    max_regression: float = Field(default=0.5, ge=0, le=100)
    """Percentage points of R@1 that the model may be behind the champion."""

    max_compression_loss: float | None = Field(default=2.0, ge=0, le=100)
    """Percentage points of R@1 that the model may be behind its own uncompressed form, on a split that was not used to
    choose the form.
    """

    max_calibration_error: float | None = Field(default=None, ge=0, le=1)
    """Largest expected calibration error, in [0, 1]."""

    min_colour_swap: float | None = Field(default=None, ge=0, le=100)
    """Least percentage of captions that score above the same caption with a colour swapped."""

    min_attribute_auc: float | None = Field(default=None, ge=0, le=1)
    """Least AUC of each attribute that was measured (gender, a bag, headwear …), asked in words; 0.5 is a coin toss,
    0.7 refuses models that see colours only.
    """

    max_attribute_regression: float | None = Field(default=0.1, ge=0, le=1)
    """How much of an attribute's AUC the model may be behind the champion, whatever its R@1."""

    max_verdict_regression: float | None = Field(default=2.0, ge=0, le=100)
    """Percentage points that the model may be behind the champion in how often a candidate whom people confirmed here
    scores above one whom they rejected, on people kept out of training (docs/feedback.md); null does not look.
    """

    fewest_verdict_descriptions: int = Field(default=20, ge=1)
    """With fewer descriptions that have a confirmed and a rejected candidate, that condition is not applied."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether the model passed, and one line for each condition, met or not; `refusals` are those not met."""

    passed: bool
    reasons: list[str]
    refusals: tuple[str, ...] = ()

    def tags(self) -> dict[str, str]:
        """What a run in MLflow says of it."""
        if self.passed:
            return {"gate": "passed"}
        return {"gate": "refused", "gate_reason": "; ".join(self.refusals)[:TAG_LENGTH]}

    def summary(self) -> str:
        """The reasons as Markdown."""
        verdict = "may be registered" if self.passed else "may not be registered"
        return f"The model {verdict}.\n\n" + "\n".join(f"- {reason}" for reason in self.reasons) + "\n"


@dataclass(frozen=True, slots=True)
class OnVerdicts:
    """How two models rank the candidates that people judged: VERDICT_ABOVE and the like by name; no champion, None."""

    challenger: Mapping[str, float]
    champion: Mapping[str, float] | None

    def metrics(self) -> dict[str, float]:
        """Both, by name."""
        return {**self.challenger, **{f"champion_{name}": value for name, value in (self.champion or {}).items()}}


def decide(
    config: GateConfig,
    metrics: Mapping[str, float],
    baseline: Mapping[str, float] | None,
    uncompressed: Mapping[str, float] | None = None,
    on_verdicts: OnVerdicts | None = None,
) -> GateDecision:
    """Check a model's metrics against the conditions; a condition fails if the metric it needs is missing.

    `baseline` is the champion's metrics, `uncompressed` those of the model that this one was compressed from,
    `on_verdicts` what people's verdicts say, None where nobody looked.
    """
    checks = [
        _at_least("t2i_r1", metrics.get("t2i_r1"), config.min_r1, "the floor"),
        _at_most("expected_calibration_error", metrics, config.max_calibration_error),
    ]
    if config.min_colour_swap is not None:
        checks.append(_at_least("colour_swap", metrics.get("colour_swap"), config.min_colour_swap, "the floor"))
    checks.append(_sees(config, metrics))
    checks.append(_few_people(metrics))
    checks.append(_against_champion(config, metrics, baseline))
    checks.append(_sees_what_champion_sees(config, metrics, baseline))
    checks.append(_against_uncompressed(config, metrics, uncompressed))
    checks.append(_as_people_judged(config, on_verdicts))
    done = [check for check in checks if check is not None]
    refusals = tuple(reason for passed, reason in done if not passed)
    return GateDecision(not refusals, [reason for _, reason in done], refusals)


def read_metrics(path: Path) -> dict[str, float]:
    """The numbers in a metrics.json.

    Raises:
        UserError: the file is missing or is not a JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {explain(error)}; a metrics.json expected") from error
    except ValueError as error:
        raise UserError(f"{path}: metrics cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: a JSON object of metrics expected")
    return {name: float(value) for name, value in values.items() if type(value) in (int, float)}


def _at_least(name: str, value: float | None, least: float, what: str) -> tuple[bool, str]:
    if value is None:
        return False, f"{name} is missing; at least {least:.2f} ({what}) expected"
    met = points_lost(least, value) <= 0
    return met, f"{name} {value:.2f} is {'not below' if met else 'below'} {what} {least:.2f}"


def _at_most(name: str, metrics: Mapping[str, float], most: float | None) -> tuple[bool, str] | None:
    if most is None:
        return None
    value = metrics.get(name)
    if value is None:
        return False, f"{name} is missing; at most {most:.3f} expected"
    met = value <= most
    return met, f"{name} {value:.3f} is {'not above' if met else 'above'} the ceiling {most:.3f}"


def _sees(config: GateConfig, metrics: Mapping[str, float]) -> tuple[bool, str] | None:
    """Whether every attribute that was measured is seen."""
    least = config.min_attribute_auc
    if least is None:
        return None
    measured = _attributes(metrics)
    if not measured:
        return False, f"no attribute was measured; an AUC of at least {least:.2f} expected"
    low = [f"{name} {auc:.2f}" for name, auc in measured.items() if not points_lost(least, auc) <= 0]
    if low:
        return False, f"the AUC of some attributes is below the floor {least:.2f}: {', '.join(low)}"
    worst = min(measured, key=measured.__getitem__)
    return True, f"no attribute's AUC is below the floor {least:.2f}; the lowest is {worst} {measured[worst]:.2f}"


def _sees_what_champion_sees(
    config: GateConfig, metrics: Mapping[str, float], baseline: Mapping[str, float] | None
) -> tuple[bool, str] | None:
    most, champion = config.max_attribute_regression, _attributes(baseline or {})
    if most is None or not champion:
        return None
    measured = _attributes(metrics)
    lost = [
        f"{name} {f'{measured[name]:.2f}' if name in measured else 'not measured'} (champion {auc:.2f})"
        for name, auc in champion.items()
        if name not in measured or not points_lost(auc, measured[name]) <= most
    ]
    if lost:
        return False, f"the AUC of some attributes is more than {most:.2f} behind the champion's: {', '.join(lost)}"
    return True, f"no attribute's AUC is more than {most:.2f} behind the champion's"


def _as_people_judged(config: GateConfig, on_verdicts: OnVerdicts | None) -> tuple[bool, str] | None:
    most = config.max_verdict_regression
    if most is None or on_verdicts is None:
        return None
    found, fewest = int(on_verdicts.challenger[VERDICT_DESCRIPTIONS]), config.fewest_verdict_descriptions
    if found < fewest:
        return True, f"verdicts: {found} descriptions with a confirmed and a rejected candidate; {fewest} needed"
    above = on_verdicts.challenger[VERDICT_ABOVE]
    if on_verdicts.champion is None:
        return True, f"{VERDICT_ABOVE} {above:.2f}; no champion to compare with"
    before = on_verdicts.champion[VERDICT_ABOVE]
    return _at_least(VERDICT_ABOVE, above, before - most, f"the champion's {before:.2f} less {most:.2f} =")


def _attributes(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix(AUC): value for name, value in metrics.items() if name.startswith(AUC)}


def _few_people(metrics: Mapping[str, float]) -> tuple[bool, str] | None:
    """A word of caution that fails nobody: a data set may have no more people."""
    people = metrics.get("gallery_identities")
    remark = None if people is None else too_few_people("the measured split", int(people))
    return None if remark is None else (True, f"careful: {remark}")


def _against_champion(
    config: GateConfig, metrics: Mapping[str, float], baseline: Mapping[str, float] | None
) -> tuple[bool, str]:
    if baseline is None or "t2i_r1" not in baseline:
        return True, "no champion measured on the same data to compare with"
    least = baseline["t2i_r1"] - config.max_regression
    what = f"the champion's {baseline['t2i_r1']:.2f} less {config.max_regression:.2f} ="
    return _at_least("t2i_r1", metrics.get("t2i_r1"), least, what)


def _against_uncompressed(
    config: GateConfig, metrics: Mapping[str, float], uncompressed: Mapping[str, float] | None
) -> tuple[bool, str] | None:
    if uncompressed is None or config.max_compression_loss is None:
        return None
    if "t2i_r1" not in uncompressed:
        return False, "t2i_r1 of the uncompressed model is missing"
    least = uncompressed["t2i_r1"] - config.max_compression_loss
    what = f"the uncompressed {uncompressed['t2i_r1']:.2f} less {config.max_compression_loss:.2f} ="
    return _at_least("t2i_r1", metrics.get("t2i_r1"), least, what)
