"""The methods implemented literally as in their papers: the baseline of `benchmarks/training.py`.

Every view of an image is decoded and augmented by PIL and goes through its tower separately, captions are padded to the
whole context, soft labels come from a second forward pass, and each parameter has its own optimiser group. Losses,
precision, batch size and model are the recipe's.

Shapes: N pairs, H height, W width, L tokens, D embedding dimension.
"""

import copy
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from personsearch.augmentation.images import SIMCLR_VIEW, ImageAugmentationConfig
from personsearch.augmentation.randomness import TEXT_STREAM, sample_generator
from personsearch.augmentation.text import choose_wording, edit_caption
from personsearch.training.loop import Run
from personsearch.training.objective import IMAGE, IMAGE_2, LOSSES, TEXT, TEXT_2, Features, Labels, Objective

N_ITC = {"n_itc": (IMAGE, TEXT), "mvs_i": (IMAGE_2, TEXT), "mvs_t": (IMAGE, TEXT_2), "mvs_it": (IMAGE_2, TEXT_2)}
Picture = Image.Image
Change = Callable[[Picture], Picture]


class PairsOnDisk(Dataset[tuple[list[Tensor], list[Tensor], int]]):
    """One pair per item, decoded and augmented on access, with CTLG's pixel mixup with a random other pair."""

    def __init__(self, run: Run, dataset: Path) -> None:
        self.run, self.dataset, self.source = run, dataset, run.source
        size, given = run.config.model.image_size, run.source.preprocessing
        ready = transforms.Compose([transforms.ToTensor(), transforms.Normalize(given.mean, given.std)])
        resized = transforms.Resize(size, transforms.InterpolationMode.BICUBIC)
        views = (
            (view, SIMCLR_VIEW if "simclr" in view else config) for view, config in self.source.augmentation.items()
        )
        self.views = {
            view: transforms.Compose([resized, pil_augmentation(config, size), ready]) for view, config in views
        }

    def __len__(self) -> int:
        return len(self.source.pairs)

    def __getitem__(self, pair: int) -> tuple[list[Tensor], list[Tensor], int]:
        images, mixup = self._images(pair), self.run.config.mixup
        partner = None
        if mixup.level == "pixels" and random.random() < mixup.probability:
            partner = random.randrange(len(self))
            mixed = zip(images, self._images(partner), strict=True)
            images = [mixup.ratio * own + (1 - mixup.ratio) * other for own, other in mixed]
        captions = [self._caption(pair, partner) for _ in self.source.text_views]
        ids = [torch.from_numpy(self.source.tokenizer.encode([caption])[0]) for caption in captions]
        return images, ids, self._record(pair).person_id

    def _record(self, pair: int) -> Any:
        return self.source.records[int(self.source.pairs.image_P[pair])]

    def _images(self, pair: int) -> list[Tensor]:
        path = self.dataset / self._record(pair).path
        return [augment(Image.open(path).convert("RGB")) for augment in self.views.values()]

    def _caption(self, pair: int, partner: int | None) -> str:
        config = self.source.text_augmentation
        generator = sample_generator(random.getrandbits(31), 0, pair, TEXT_STREAM)
        pairs = (pair,) if partner is None else (pair, partner)
        numbers = {each: int(self.source.pairs.caption_P[each]) for each in pairs}
        texts = [choose_wording(config, self._record(each), numbers[each], generator) for each in pairs]
        return edit_caption(config, " ".join(texts), generator)


class LiteralTraining:
    """Trains a copy of the run's model, one batch per `step`; N-ITC's soft labels come from a second pass."""

    def __init__(self, run: Run, dataset: Path, autocast: Callable[[], Any]) -> None:
        self.config, self.device, self.autocast = run.config, run.source.device, autocast
        self.model = copy.deepcopy(run.model).train()
        self.objective = Objective(run.config.objective, self.model.embedding_dim).to(self.device)
        self.views = tuple(run.source.augmentation), run.source.text_views
        trained = [value for value in (*self.model.parameters(), *self.objective.parameters()) if value.requires_grad]
        groups = [{"params": [value], "weight_decay": self._decay(value)} for value in trained]
        kind = torch.optim.AdamW if run.config.optimiser.kind == "adamw" else torch.optim.Adam
        self.optimiser = kind(groups, lr=run.config.optimiser.lr, eps=run.config.optimiser.eps)
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.device.type == "cuda" and run.config.precision == "fp16"
        )
        self.loader = DataLoader(
            PairsOnDisk(run, dataset),
            run.config.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=0 if self.device.type == "cpu" else os.cpu_count() or 1,
            pin_memory=self.device.type == "cuda",
        )
        self.batches = self._forever()

    def step(self) -> None:
        """One optimiser step, including its batch; never in chunks, whatever chunk_size says."""
        images, texts, person_ids_N = next(self.batches)
        labels = Labels(person_ids_N.to(self.device), alpha=self.config.objective.soft_label_alpha)
        features = self._encode(images, texts)
        loss = self.scaler.scale(self._loss(features, self._second_pass(images, texts), labels))
        loss.backward()
        self.scaler.unscale_(self.optimiser)
        if self.config.optimiser.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimiser.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad()
        loss.item()

    def _forever(self) -> Iterator[Any]:
        while True:
            yield from self.loader

    def _decay(self, parameter: Tensor) -> float:
        return self.config.optimiser.weight_decay if parameter.ndim >= 2 else 0.0

    def _encode(self, images: list[Tensor], texts: list[Tensor]) -> Features:
        with self.autocast():
            image_ND = [self.model.image_features(pixels.to(self.device)) for pixels in images]
            text_ND = [self.model.text_features(ids.to(self.device)) for ids in texts]
        of_images, of_texts = self.views
        return Features.of(
            dict(zip(of_images, image_ND, strict=True)),
            dict(zip(of_texts, text_ND, strict=True)),
            self.model.logit_scale(),
        )

    def _second_pass(self, images: list[Tensor], texts: list[Tensor]) -> Features | None:
        soft = self.config.objective.soft_label_alpha > 0 and N_ITC.keys() & self.config.objective.losses.keys()
        if not soft:
            return None
        with torch.no_grad():
            return self._encode(images, texts)

    def _loss(self, features: Features, second: Features | None, labels: Labels) -> Tensor:
        total = torch.zeros((), device=self.device)
        for name, weight in self.config.objective.losses.items():
            given = self.config.objective.settings.get(name, {})
            if name in N_ITC and second is not None:
                value = _n_itc(features.logits(*N_ITC[name]), second.logits(*N_ITC[name]), labels)
            else:
                value = LOSSES[name].value(features, labels, self.objective.heads, **given)
            total = total + weight * value
        return total


class Pool:
    """Applies two operations, drawn for each picture."""

    def __init__(self, operations: list[Change]) -> None:
        self.operations = operations

    def __call__(self, picture: Picture) -> Picture:
        for operation in random.choices(self.operations, k=2):
            picture = operation(picture)
        return picture


def pil_augmentation(config: ImageAugmentationConfig, size: tuple[int, int]) -> Change:
    """The recipe's operations as torchvision transforms of PIL pictures."""
    operations = [_operation(dict(operation), size) for operation in config.operations]
    if config.policy == "stack" or not operations:
        return transforms.Compose(operations)
    return Pool(operations)


def _operation(given: dict[str, Any], size: tuple[int, int]) -> Change:
    name, probability = given.pop("name"), given.pop("probability", 1.0)
    erase = (transforms.PILToTensor(), transforms.RandomErasing(probability, scale=given.pop("area", (0.02, 0.3))))
    made: dict[str, Callable[[], Change]] = {
        "color_jitter": lambda: transforms.RandomApply([transforms.ColorJitter(**given)], probability),
        "rotation": lambda: transforms.RandomRotation(given["degrees"]),
        "resized_crop": lambda: transforms.RandomResizedCrop(size, tuple(given["scale"])),
        "pad_crop": lambda: transforms.Compose([transforms.Pad(given["padding"]), transforms.RandomCrop(size)]),
        "grayscale": lambda: transforms.RandomGrayscale(probability),
        "horizontal_flip": lambda: transforms.RandomHorizontalFlip(probability),
        "erasing": lambda: transforms.Compose([*erase, transforms.ToPILImage()]),
        "gaussian_blur": lambda: transforms.RandomApply(
            [transforms.GaussianBlur(given["kernel"], tuple(given["sigma"]))], probability
        ),
    }
    return made[name]()


def _n_itc(logits_NN: Tensor, second_NN: Tensor, labels: Labels) -> Tensor:
    image_NN, text_NN = (
        labels.alpha * second.softmax(dim=1) + (1 - labels.alpha) * labels.targets
        for second in (second_NN, second_NN.T)
    )
    return (cross_entropy(logits_NN, image_NN) + cross_entropy(logits_NN.T, text_NN)) / 2
