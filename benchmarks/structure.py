"""Claim: without training, trimming a vocabulary costs no quality, and shortening embeddings and feed-forwards little.

Run: `python benchmarks/structure.py [--bundle weights/tiny-clip] [--dataset PREPARED] [--images 450]`; prints one row
per form of the bundle: parameters, bytes of weights and tokenizer, text→image metrics on the validation split. PCA and
importance use the training split. Without --dataset, a small one is synthesised; `make pretrain` makes the one that the
shipped weights were trained on (data/pretraining/prepared).
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from support.people import prepare_people

from personsearch.bundle import TOKENIZER, WEIGHTS, Bundle
from personsearch.compression.projection import reduce_embedding
from personsearch.compression.pruning import PruningConfig, Shares, plan_pruning, prune
from personsearch.compression.samples import PairSample
from personsearch.compression.vocabulary import trim_tokenizer, trim_vocabulary
from personsearch.data.dataset import Dataset
from personsearch.data.records import ImageRecord, read_manifest
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.torch import TorchEncoder
from personsearch.evaluation.embeddings import decode_records
from personsearch.evaluation.metrics import RetrievalMetrics, retrieval_metrics
from personsearch.models.build import load_bundle_model
from personsearch.models.vocabulary import clip_tokenizer

ROOT = Path(__file__).parent.parent
PEOPLE = SynthesizeConfig(identities_train=300, identities_val=150, identities_test=1, images_per_identity=3)
LENGTHS = (96, 64, 48, 32, 24, 16)
SHARES = (0.1, 0.2, 0.3)
CLIP_WIDTH = 512
Form = tuple[str, Callable[[Path], object]]


@dataclass(frozen=True)
class Split:
    """Validation images at the model's size, and their captions."""

    records: list[ImageRecord]
    pixels_GHW3: NDArray[np.uint8]

    @property
    def captions(self) -> list[str]:
        return [caption for record in self.records for caption in record.captions]

    def quality(self, bundle: Path) -> RetrievalMetrics:
        """Text→image metrics of a bundle."""
        encoder = TorchEncoder.from_bundle(Bundle.open(bundle))
        image_ids = np.array([record.person_id for record in self.records])
        caption_ids = np.repeat(image_ids, [len(record.captions) for record in self.records])
        images, texts = encoder.encode_images(self.pixels_GHW3), encoder.encode_texts(self.captions)
        return retrieval_metrics(texts, images, caption_ids, image_ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "weights" / "tiny-clip")
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--images", type=int, default=450, help="largest number of validation images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("form", "parameters", "MB", "R@1 %", "mAP %", title=f"{options.bundle.name}, one thread")
    with tempfile.TemporaryDirectory() as folder:
        dataset = options.dataset or prepare_people(PEOPLE, Path(folder))
        split = _split(options.bundle, dataset, options.images)
        table.add_row(*_row("as it is", options.bundle, split))
        for number, (name, write) in enumerate(_forms(Bundle.open(options.bundle), Dataset.open(dataset))):
            write(Path(folder) / str(number))
            table.add_row(*_row(name, Path(folder) / str(number), split))
        clip = _clip_vocabulary(_captions(dataset))
    console = Console(width=110)
    console.print(table)
    console.print(clip, soft_wrap=True)


def _clip_vocabulary(captions: list[str]) -> str:
    """How far CLIP's own vocabulary can be trimmed; only counted, because CLIP's weights are not available here."""
    tokens, whole = trim_tokenizer(clip_tokenizer(), captions).get_vocab_size(), clip_tokenizer().get_vocab_size()
    megabytes = [count * CLIP_WIDTH * 4 / 1e6 for count in (whole, tokens)]
    return (
        f"CLIP's vocabulary on {len(captions):,} training captions: {whole:,} → {tokens:,} tokens, a float32 embedding"
        f" of width {CLIP_WIDTH} from {megabytes[0]:.1f} to {megabytes[1]:.1f} MB"
    )


def _captions(dataset: Path) -> list[str]:
    return [caption for record in read_manifest(dataset, "train") for caption in record.captions]


def _forms(bundle: Bundle, dataset: Dataset) -> Iterator[Form]:
    yield "vocabulary of the training captions", partial(trim_vocabulary, bundle, _captions(dataset.folder))
    for length in (length for length in LENGTHS if length < bundle.spec.embedding_dim):
        sample = PairSample(pairs=1024)
        yield f"embedding of {length}, PCA", partial(reduce_embedding, bundle, length, dataset=dataset, sample=sample)
        yield f"embedding of {length}, cut", partial(reduce_embedding, bundle, length)
    for share in SHARES:
        yield from _pruned(f"{share:.0%} of the feed-forwards", bundle, dataset, Shares(feed_forward=share))
    yield from _pruned("a sixth of the heads", bundle, dataset, Shares(heads=1 / 6))


def _pruned(name: str, bundle: Bundle, dataset: Dataset, shares: Shares) -> Iterator[Form]:
    plan = plan_pruning(PruningConfig(text=shares, image=shares), bundle)
    yield f"without {name}, by the loss", partial(prune, bundle, plan, dataset=dataset)
    yield f"without {name}, by magnitude", partial(prune, bundle, plan)


def _row(name: str, bundle: Path, split: Split) -> tuple[str, ...]:
    parameters = sum(parameter.numel() for parameter in load_bundle_model(Bundle.open(bundle)).model.parameters())
    size, quality = sum((bundle / file).stat().st_size for file in (WEIGHTS, TOKENIZER)), split.quality(bundle)
    return name, f"{parameters:,}", f"{size / 1e6:.2f}", f"{quality.r1:.1f}", f"{quality.map:.1f}"


def _split(bundle: Path, dataset: Path, images: int) -> Split:
    records = read_manifest(dataset, "val")[:images]
    return Split(records, decode_records(dataset, records, Bundle.open(bundle).spec.preprocessing))


if __name__ == "__main__":
    main()
