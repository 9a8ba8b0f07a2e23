"""Cuts a torch bundle smaller, step by step, and trains it to recover what the cuts cost."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from pydantic import Field

from personsearch.bundle import Bundle, is_bundle
from personsearch.compression.projection import reduce_embedding
from personsearch.compression.pruning import ProbeSums, PruningConfig, plan_pruning, prune, read_probe
from personsearch.compression.recovery import RecoverConfig, recover
from personsearch.compression.torch_bundle import write_torch_bundle
from personsearch.compression.vocabulary import trim_vocabulary
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.models.architecture import Side
from personsearch.models.build import create_model, load_bundle_model
from personsearch.models.layers import weights_without_layers, without_layers

KEY_LENGTH = 12
Cut = Callable[[Bundle, Path], object]


class Cuts(Config):
    """Cuts, in the order in which they are made; by default the model stays whole."""

    drop_text_layers: tuple[int, ...] = ()
    """Layers of the text tower to leave out, by number from 1 as in `personsearch probe`."""

    drop_image_layers: tuple[int, ...] = ()
    """Layers of the image tower to leave out, by number from 1."""

    trim_vocabulary: bool = False
    """Keep only the tokens of the training captions."""

    prune: PruningConfig | None = None
    """Heads and neurons to remove; null for none."""

    probe: Path | None = None
    """A probe.json of the whole model, which says where to prune least."""

    embedding_dim: int | None = Field(default=None, ge=1)
    """Length to which embeddings are projected; null keeps theirs."""

    recover: RecoverConfig | None = None
    """Train the cut model beside the whole one afterwards; `{}` for the defaults, null for no training."""


def make_cuts(cuts: Cuts, source: Bundle, dataset: Dataset, work: Path) -> Bundle:
    """Write the cut torch bundle into a folder below `work`; returns `source` itself if nothing is cut.

    Each step has a folder named by a hash of everything that leads to it: forms share the cuts with which they begin,
    and a run that was killed resumes after the last finished one.

    Raises:
        UserError: a cut does not fit this model, or the data set cannot be read.
    """
    current, key = source, f"{source.fingerprint} {dataset.hash}"
    for name, setting, cut in _steps(cuts, dataset):
        key = hashlib.sha256(json.dumps([key, name, setting], sort_keys=True).encode()).hexdigest()
        target = work / f"{name}-{key[:KEY_LENGTH]}"
        if not is_bundle(target):
            cut(current, target)
        current = Bundle.open(target)
    if cuts.recover is not None:
        return recover(current, source, dataset, work / "recovered", cuts.recover)
    return current


def drop_layers(source: Bundle, *, text: Collection[int], image: Collection[int], out_dir: Path) -> None:
    """Write the model of `source` without these layers, counted from 1, to `out_dir`.

    Raises:
        UserError: there is no such layer, none would remain, or the model is adapted or is not open_clip's CLIP.
        ValueError: no layer is given.
    """
    if not text and not image:
        raise ValueError(f"{source}: no layers to drop; at least one expected")
    model = load_bundle_model(source).model
    if model.architecture.adaptation is not None:
        raise UserError(f"{source}: its adaptation belongs to all of its layers; none can be dropped")
    smaller = create_model(without_layers(model.architecture, text=text, image=image)).eval()
    smaller.load_named_weights(weights_without_layers(model.named_weights(), text=text, image=image))
    layers_of_towers = " and ".join(
        f"{side} layers {', '.join(map(str, sorted(set(layers))))}"
        for side, layers in (("text", text), ("image", image))
        if layers
    )
    write_torch_bundle(source, smaller, out_dir, change=f"Without its {layers_of_towers}.")


def _steps(cuts: Cuts, dataset: Dataset) -> Iterator[tuple[str, object, Cut]]:
    """Name, settings and function (source, target) of each cut that is asked for."""
    text, image, dim = cuts.drop_text_layers, cuts.drop_image_layers, cuts.embedding_dim
    if text or image:
        yield (
            "layers",
            [text, image],
            lambda source, target: drop_layers(source, text=text, image=image, out_dir=target),
        )
    if cuts.trim_vocabulary:
        yield "vocabulary", None, lambda source, target: trim_vocabulary(source, _captions(dataset), target)
    if (pruning := cuts.prune) is not None:
        dropped: Mapping[Side, Collection[int]] = {"text": text, "image": image}
        sums = None if cuts.probe is None else _without(read_probe(cuts.probe), dropped)
        yield (
            "pruned",
            [pruning.model_dump(mode="json"), sums],
            lambda source, target: prune(source, plan_pruning(pruning, source, sums), target, dataset=dataset),
        )
    if dim is not None:  # last, because PCA has to see the embeddings of the model as it is cut
        yield "projected", dim, lambda source, target: reduce_embedding(source, dim, target, dataset=dataset)


def _without(sums: ProbeSums, dropped: Mapping[Side, Collection[int]]) -> ProbeSums:
    """The figures of the layers that remain: a probe of the whole model numbers all of them."""
    return {
        side: {
            kind: [figure for layer, figure in enumerate(figures, start=1) if layer not in dropped[side]]
            for kind, figures in kinds.items()
        }
        for side, kinds in sums.items()
    }


def _captions(dataset: Dataset) -> Iterator[str]:
    """The training captions, with their back-translations.

    Raises:
        UserError: there are none.
    """
    records = [record for record in dataset.records("train") if record.captions]
    if not records:
        raise UserError(f"{dataset}: no training captions; a vocabulary is trimmed to theirs")
    for record in records:
        yield from record.captions
        yield from record.captions_bt or ()
