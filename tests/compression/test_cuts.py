"""Cuts in their order: what one leaves is what the next one starts from."""

import json
from pathlib import Path

import pytest

from personsearch.bundle import Bundle
from personsearch.compression.cuts import Cuts, make_cuts
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError


@pytest.mark.parametrize(("dropped", "remaining"), [((), {"1": 120, "2": 72}), ((1,), {"1": 96})])
def test_a_probe_of_the_whole_model_says_where_to_prune_one_without_layers(
    dropped: tuple[int, ...], remaining: dict[str, int], tiny_bundle: Path, training_split: Path, tmp_path: Path
) -> None:
    """A quarter of 128 neurons per layer goes, of two layers in the proportion of 0.25 to 1.75."""
    sums = {"attention": [2.0, 0.1], "feed_forward": [1.75, 0.25]}
    (tmp_path / "probe.json").write_text(json.dumps({"towers": {"text": {"sum": sums}}}))
    cuts = Cuts.model_validate(
        {
            "drop_text_layers": dropped,
            "prune": {"text": {"feed_forward": 0.25}},
            "probe": tmp_path / "probe.json",
        }
    )
    cut = make_cuts(cuts, Bundle.open(tiny_bundle), Dataset.open(training_split), tmp_path / "work")
    architecture = cut.spec.architecture
    assert architecture["text_cfg"]["layers"] == 2 - len(dropped)
    found = {layer: parts["feed_forward"] for layer, parts in architecture["pruned"]["text"].items()}
    assert {str(layer): count for layer, count in found.items()} == remaining


def test_a_vocabulary_is_not_trimmed_to_nothing(tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training captions"):  # it has only val and test
        make_cuts(Cuts(trim_vocabulary=True), Bundle.open(tiny_bundle), Dataset.open(tiny_dataset), tmp_path)
    assert not list(tmp_path.iterdir())
