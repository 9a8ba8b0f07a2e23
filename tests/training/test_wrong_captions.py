"""What docs/noise.md says of training on wrong captions, on small data: the division finds them, and that pays.

Shapes: P pairs of the data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from personsearch.data.dataset import Dataset
from personsearch.data.prepare import PrepareConfig, prepare
from personsearch.data.records import ImageRecord, read_manifest
from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize
from personsearch.studies.config import StudyConfig
from personsearch.studies.plan import plan_stage
from personsearch.training.config import TrainConfig
from personsearch.training.cpu import flushed_denormals, kept_memory
from personsearch.training.loop import Loop, Run
from personsearch.training.noise import divide
from personsearch.training.train import make_run

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
PEOPLE = SynthesizeConfig(
    identities_train=300, identities_val=120, identities_test=1, images_per_identity=2, domain="night", seed=7
)


@dataclass(frozen=True, slots=True)
class Arms:
    """Two arms of the study that the documentation reports, and the data that they learn from here."""

    plain: TrainConfig
    divided: TrainConfig
    dataset: Path


@pytest.fixture
def arms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arms:
    monkeypatch.chdir(ROOT)  # recipes name what they start from by its place in the repository
    study = StudyConfig.from_yaml(Path("recipes/studies/noise-tiny.yaml"))
    plans = {plan.label: plan.config(0) for plan in plan_stage(study, study.stages[0], {}, None)[1]}
    plain, divided = (
        plans[f"arms/{name}, 40 % wrong"].model_copy(update={"cache": tmp_path / "cache"})
        for name in ("TAL", "TAL with division")
    )
    assert divided.model_copy(update={"noise": None}) == plain
    assert divided.noise is not None
    synthesize(PEOPLE, tmp_path / "raw")
    prepare(PrepareConfig(), tmp_path / "raw", tmp_path / "prepared")
    return Arms(plain, divided, tmp_path / "prepared")


@pytest.mark.slow
@pytest.mark.timeout(1800)  # four minutes beside other work
def test_the_division_finds_wrong_pairs_and_pays_on_people_it_has_not_met(arms: Arms, tmp_path: Path) -> None:
    plain = trained(arms.plain, arms.dataset, tmp_path / "plain")
    divided = trained(arms.divided, arms.dataset, tmp_path / "divided")
    assert divided.validator()["val_map"] > plain.validator()["val_map"] + 4

    wrong_P = wrong_pairs(divided.source.records, read_manifest(arms.dataset, "train"))
    division = divide(
        arms.divided.noise, divided.built, divided.source, seed=arms.divided.seed, epoch=arms.divided.epochs
    )
    noisy_P = division.votes_P == 0
    assert wrong_P.mean() == pytest.approx(0.4, abs=0.01)
    assert noisy_P[wrong_P].mean() > 0.4
    assert wrong_P[noisy_P].mean() > 0.7


def trained(config: TrainConfig, dataset: Path, out_dir: Path) -> Run:
    """A run after its last epoch, none of which was chosen by the people it is then tested on."""
    torch.set_num_threads(config.threads)
    with flushed_denormals(), kept_memory():
        run = make_run(config, Dataset.open(dataset), out_dir, identity="", device=CPU)
        Loop(run)()
    return run


def wrong_pairs(shuffled: Sequence[ImageRecord], truth: Sequence[ImageRecord]) -> NDArray[np.bool_]:
    """Which pairs [P] have another caption than their image had."""
    captions, own = ([caption for record in of for caption in record.captions] for of in (shuffled, truth))
    return np.array([caption != right for caption, right in zip(captions, own, strict=True)])
