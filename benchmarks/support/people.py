"""Synthetic people as a prepared data set, for whoever measures without one of their own."""

from pathlib import Path

from personsearch.data.prepare import PrepareConfig, prepare
from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize


def prepare_people(counts: SynthesizeConfig, folder: Path) -> Path:
    """Make them in `folder`, or what of them is missing there; returns the prepared data set."""
    synthesize(counts, folder / "raw")
    prepare(PrepareConfig(), folder / "raw", folder / "prepared")
    return folder / "prepared"
