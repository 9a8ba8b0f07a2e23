"""The torch part of a form: what is cut from a model, and the training that brings back what the cut took."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from pydantic import Field

from personsearch.bundle import SPEC, Bundle
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
Cut = Callable[[Path, Path], object]


class Structure(Config):
    """Cuts in the order in which they are made; nothing given leaves the model whole."""

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


def build_structure(structure: Structure, bundle: Path, dataset: Dataset, work: Path) -> Path:
    """The folder of the cut torch bundle, below `work`; of a whole one, `bundle` itself.

    A folder's name follows from all that made it: forms share what they have in common, and a run that was killed
    goes on after the last finished cut.

    Raises:
        UserError: a cut does not fit this model, or the data set cannot be read.
    """
    current, key = bundle, f"{Bundle.open(bundle).fingerprint} {dataset.hash}"
    for name, setting, cut in _cuts(structure, dataset):
        key = hashlib.sha256(json.dumps([key, name, setting], sort_keys=True).encode()).hexdigest()
        target = work / f"{name}-{key[:KEY_LENGTH]}"
        if not (target / SPEC).is_file():
            cut(current, target)
        current = target
    if structure.recover is not None:
        return recover(current, bundle, dataset, work / "recovered", structure.recover)
    return current


def drop_layers(bundle: Path, *, text: Collection[int], image: Collection[int], out_dir: Path) -> None:
    """Write the torch bundle `out_dir`: the model of `bundle` without these layers, counted from 1.

    Raises:
        UserError: there is no such layer, none would remain, or the model is adapted or no CLIP of open_clip's.
        ValueError: no layer is given.
    """
    if not text and not image:
        raise ValueError(f"{bundle}: no layers to drop; at least one wanted")
    model = load_bundle_model(Bundle.open(bundle)).model
    if model.architecture.adaptation is not None:
        raise UserError(f"{bundle}: its adaptation belongs to all of its layers; none can be dropped")
    smaller = create_model(without_layers(model.architecture, text=text, image=image)).eval()
    smaller.load_named_weights(weights_without_layers(model.named_weights(), text=text, image=image))
    told = " and ".join(
        f"{side} layers {', '.join(map(str, sorted(set(layers))))}"
        for side, layers in (("text", text), ("image", image))
        if layers
    )
    write_torch_bundle(bundle, smaller, out_dir, change=f"Without its {told}.")


def _cuts(structure: Structure, dataset: Dataset) -> Iterator[tuple[str, object, Cut]]:
    """Name, settings and function (source, target) of each cut that is asked for."""
    text, image, dim = structure.drop_text_layers, structure.drop_image_layers, structure.embedding_dim
    if text or image:
        yield (
            "layers",
            [text, image],
            lambda source, target: drop_layers(source, text=text, image=image, out_dir=target),
        )
    if structure.trim_vocabulary:
        yield "vocabulary", None, lambda source, target: trim_vocabulary(source, _captions(dataset), target)
    if (pruning := structure.prune) is not None:
        dropped: Mapping[Side, Collection[int]] = {"text": text, "image": image}
        sums = None if structure.probe is None else _without(read_probe(structure.probe), dropped)
        yield (
            "pruned",
            [pruning.model_dump(mode="json"), sums],
            lambda source, target: prune(source, plan_pruning(pruning, source, sums), target, dataset=dataset),
        )
    if dim is not None:
        yield "projected", dim, lambda source, target: reduce_embedding(source, dim, target, dataset=dataset)


def _without(sums: ProbeSums, dropped: Mapping[Side, Collection[int]]) -> ProbeSums:
    """A probe's figures of the layers that remain."""
    return {
        side: {
            kind: [figure for layer, figure in enumerate(figures, start=1) if layer not in dropped[side]]
            for kind, figures in kinds.items()
        }
        for side, kinds in sums.items()
    }


def _captions(dataset: Dataset) -> Iterator[str]:
    """What the training split says, back-translations included.

    Raises:
        UserError: it says nothing.
    """
    records = [record for record in dataset.records("train") if record.captions]
    if not records:
        raise UserError(f"{dataset}: no training captions; a vocabulary is trimmed to theirs")
    for record in records:
        yield from record.captions
        yield from record.captions_bt or ()
