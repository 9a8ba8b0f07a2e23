"""A student in training beside a frozen teacher: what it is asked, at what cost, and what is refused."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from personsearch.bundle import TOKENIZER, Bundle, Preprocessing
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.losses.distillation import feature_distance, relation_divergence
from personsearch.models.architecture import Architecture
from personsearch.models.build import BuiltModel, load_bundle_model
from personsearch.models.clip import DualEncoder
from personsearch.models.vocabulary import learn_tokenizer
from personsearch.tokenizer import Tokenizer
from personsearch.training.batches import Batch
from personsearch.training.distillation import DistillationConfig, Teacher, load_teacher
from personsearch.training.objective import TOTAL, Objective, ObjectiveConfig
from personsearch.training.recipe import read_recipe
from personsearch.training.step import GradientStep
from personsearch.training.train import make_run, run_identity, train
from tests.servers.starting import free_port
from tests.training.gradients import assert_close

Recipe = Callable[..., Path]
HALF = Preprocessing(height=32, width=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
PAIRS, VOCABULARY = 12, 50
ARCHITECTURE = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": VOCABULARY, "width": 32, "heads": 2, "layers": 1},
}
OTHER = Preprocessing(height=32, width=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))


def make_with_teacher(
    tmp_path: Path, preprocessing: Preprocessing = HALF, **given: Any
) -> tuple[DualEncoder, Objective, Batch, Teacher]:
    """A student, its batch, and another model of its architecture that looks on."""
    torch.manual_seed(1)
    student, teacher = (DualEncoder(Architecture(ARCHITECTURE)) for _ in range(2))
    student.train()
    teacher.eval().requires_grad_(False)
    ids = torch.randint(1, VOCABULARY - 1, (PAIRS, 12))
    ids[:, -1] = VOCABULARY - 1
    batch = Batch({"image": torch.randn(PAIRS, 3, 32, 16)}, {"text": ids}, torch.arange(PAIRS) // 2, teacher_ids_NL=ids)
    learn_tokenizer(["a red coat"], 300).save(str(tmp_path / TOKENIZER))
    built = BuiltModel(teacher, Tokenizer(tmp_path / TOKENIZER, 12), preprocessing)
    config = DistillationConfig(teacher=tmp_path, **given)
    return student, Objective(ObjectiveConfig(), 16), batch, Teacher(config, built, HALF)


def step(
    model: DualEncoder, objective: Objective, batch: Batch, teacher: Teacher | None, chunk_size: int | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    model.zero_grad()
    torch.manual_seed(7)
    losses = GradientStep(model, objective, chunk_size, teacher=teacher)(batch, 0.5)
    return losses, {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def test_losses_are_of_both_models_vectors_and_add_up(tmp_path: Path) -> None:
    student, objective, batch, teacher = make_with_teacher(tmp_path, weight=3.0, temperature=0.2)
    losses, _ = step(student, objective, batch, teacher)
    (image, text), (taught_image, taught_text) = (
        (model.encode_image(batch.images["image"]), model.encode_text(batch.texts["text"]))
        for model in (student, teacher.built.model)
    )
    features = (feature_distance(image, taught_image) + feature_distance(text, taught_text)) / 2
    relations = relation_divergence(image @ text.T, taught_image @ taught_text.T, temperature=0.2)
    assert losses["distil_features"].item() == pytest.approx(features.item(), abs=1e-5)
    assert losses["distil_relations"].item() == pytest.approx(relations.item(), abs=1e-5)
    alone, _ = step(student, objective, batch, None)
    assert losses[TOTAL].item() == pytest.approx((alone[TOTAL] + 3 * (features + relations)).item(), rel=1e-4)


def test_a_teacher_equal_to_the_student_asks_nothing(tmp_path: Path) -> None:
    student, objective, batch, teacher = make_with_teacher(tmp_path)
    teacher.built.model.load_state_dict(student.state_dict())
    losses, _ = step(student, objective, batch, teacher)
    assert losses["distil_features"].item() == pytest.approx(0, abs=1e-5)
    assert losses["distil_relations"].item() == pytest.approx(0, abs=1e-5)


def test_relations_are_read_at_the_teachers_own_scale(tmp_path: Path) -> None:
    student, objective, batch, teacher = make_with_teacher(tmp_path, losses=["relations"])
    teacher.built.model.set_logit_scale(4.0)
    by_scale, _ = step(student, objective, batch, teacher)
    given = replace(teacher, config=teacher.config.model_copy(update={"temperature": 0.25}))
    by_number, _ = step(student, objective, batch, given)
    assert by_scale["distil_relations"].item() == pytest.approx(by_number["distil_relations"].item(), rel=1e-5)
    assert "distil_features" not in by_scale


@pytest.mark.parametrize("chunk_size", [1, 5, 100])
def test_cached_gradients_equal_the_plain_batch(tmp_path: Path, chunk_size: int) -> None:
    student, objective, batch, teacher = make_with_teacher(tmp_path)
    _, wanted = step(student, objective, batch, teacher)
    _, without = step(student, objective, batch, None)
    _, found = step(student, objective, batch, teacher, chunk_size)
    assert_close(found, wanted)
    assert not torch.allclose(without["clip.visual.proj"], wanted["clip.visual.proj"], atol=1e-4)
    assert all(parameter.grad is None for parameter in teacher.built.model.parameters())


PROCESS = """
    import sys
    from pathlib import Path
    import torch
    sys.path.insert(0, sys.argv[1])
    from test_distillation import GradientStep, PAIRS, make_with_teacher
    from personsearch.training.distributed import average_gradients, process_group, rank, world_size
    torch.set_num_threads(1)
    out = Path(sys.argv[2]) / sys.argv[3]
    out.mkdir()
    with process_group(torch.device("cpu")):
        student, objective, batch, teacher = make_with_teacher(out)
        mine = slice(rank() * PAIRS // world_size(), (rank() + 1) * PAIRS // world_size())
        GradientStep(student, objective, 4, teacher=teacher)(batch.rows(mine), 0.5)
        average_gradients(student.parameters())
        torch.save({name: value.grad for name, value in student.named_parameters()}, out / "gradients.pt")
"""


def test_two_processes_have_the_gradient_of_the_global_batch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PROCESS), str(Path(__file__).parent), str(tmp_path)]
    common = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [subprocess.Popen([*command, rank], env=common | {"RANK": rank}) for rank in ("0", "1")]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    student, objective, batch, teacher = make_with_teacher(tmp_path)
    _, wanted = step(student, objective, batch, teacher)
    for rank in ("0", "1"):
        found = torch.load(tmp_path / rank / "gradients.pt", weights_only=True)
        assert_close(found, wanted)


def test_a_teacher_with_other_colour_statistics_sees_the_same_picture(tmp_path: Path) -> None:
    _, _, batch, teacher = make_with_teacher(tmp_path, OTHER)
    pixels = torch.rand(PAIRS, 3, 32, 16, generator=torch.Generator().manual_seed(0))

    def standardised(by: Preprocessing) -> Tensor:
        return (pixels - torch.tensor(by.mean)[:, None, None]) / torch.tensor(by.std)[:, None, None]

    found = teacher(standardised(HALF), batch.texts["text"]).images["image"]
    assert torch.allclose(found, teacher.built.model.encode_image(standardised(OTHER)), atol=1e-5)


@pytest.fixture
def teacher_bundle(trainable: Path, recipe: Recipe, tmp_path: Path) -> Path:
    """A model trained for a moment, with a vocabulary of its own."""
    train(read_recipe(recipe(epochs=12), ["model.vocabulary=270"]), trainable, tmp_path / "teacher")
    return tmp_path / "teacher" / "bundle"


class Recorder:
    """Keeps the losses of every step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_start(self, config: object) -> None: ...

    def on_step(self, step: int, metrics: Any) -> None:
        self.steps.append(dict(metrics))

    def on_epoch(self, epoch: int, step: int, metrics: Any) -> None: ...

    def on_end(self, metrics: Any) -> None: ...


def test_a_student_with_other_tokens_learns_from_its_teacher(
    trainable: Path, recipe: Recipe, tmp_path: Path, teacher_bundle: Path
) -> None:
    """Taught only by the teacher, it comes nearer to the teacher's features and to what these are to each other."""
    settings = [f"distillation.teacher={teacher_bundle}", "objective.losses={n_itc: 0}", "epochs=20"]
    config, watch = read_recipe(recipe(), settings), Recorder()
    run = make_run(config, Dataset.open(trainable), tmp_path / "look", identity="", device=torch.device("cpu"))
    batch = next(iter(run.source.epoch(0)))
    assert run.teacher is not None
    assert run.teacher.built.tokenizer.vocab_size != run.source.tokenizer.vocab_size
    assert batch.teacher_ids_NL is not None
    assert len(batch.teacher_ids_NL) == len(batch.texts["text"]) == 16
    assert batch.rows(slice(3, 5)).teacher_ids_NL.shape[0] == 2  # type: ignore[union-attr]
    train(config, trainable, tmp_path / "run", callbacks=[watch])
    assert watch.steps[-1]["distil_features"] < 0.3 * watch.steps[0]["distil_features"]
    assert watch.steps[-1]["distil_relations"] < 0.5 * watch.steps[0]["distil_relations"]


def test_what_the_teacher_computes_is_part_of_a_runs_identity(
    trainable: Path, recipe: Recipe, tmp_path: Path, tiny_bundle: Path, teacher_bundle: Path
) -> None:
    plain, first, second = (
        read_recipe(recipe(), [f"distillation={given}"])
        for given in ("null", f"{{teacher: {tiny_bundle}}}", f"{{teacher: {teacher_bundle}}}")
    )
    moved = tmp_path / "moved"
    moved.symlink_to(tiny_bundle)
    same = read_recipe(recipe(), [f"distillation.teacher={moved}"])
    heavier = read_recipe(recipe(), [f"distillation.teacher={moved}", "distillation.weight=2"])
    identities = [run_identity(config, Dataset.open(trainable)) for config in (plain, first, second, heavier)]
    assert len(set(identities)) == 4
    assert run_identity(same, Dataset.open(trainable)) == identities[1]


def test_teachers_that_cannot_teach_are_refused(tmp_path: Path, tiny_bundle: Path) -> None:
    student, cpu = load_bundle_model(Bundle.open(tiny_bundle)), torch.device("cpu")
    config = DistillationConfig(teacher=tiny_bundle)
    with pytest.raises(UserError, match="no such file or folder; a model bundle expected"):
        load_teacher(DistillationConfig(teacher=tmp_path / "nothing"), student, tmp_path / "run", cpu)
    with pytest.raises(UserError, match="is inside the student's own output"):
        load_teacher(config, student, tiny_bundle.parent, cpu)
    taller = replace(student, preprocessing=student.preprocessing.model_copy(update={"height": 64}))
    with pytest.raises(UserError, match="takes images of 32×16, expected the student's 64×16"):
        load_teacher(config, taller, tmp_path, cpu)
    narrow = BuiltModel(DualEncoder(Architecture(ARCHITECTURE)), student.tokenizer, student.preprocessing)
    with pytest.raises(UserError, match=r"vectors of 32 numbers, the student of 16; use losses \[relations\]"):
        load_teacher(config, narrow, tmp_path, cpu)
    only_relations = DistillationConfig(teacher=tiny_bundle, losses=("relations",))
    assert load_teacher(only_relations, narrow, tmp_path, cpu).built.model.embedding_dim == 32


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("mixup.level=features", "does not work with mixup.level features"),
        ("objective.losses={ss_i: 1}", "needs losses that read the image and the text"),
        ("distillation.losses=[logits]", "'features' or 'relations' expected"),
    ],
)
def test_recipes_without_what_a_teacher_reads_are_refused(recipe: Recipe, setting: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        read_recipe(recipe(), ["distillation.teacher=somewhere", setting])
