"""Synthetic people as a prepared data set, for benchmarks that need one."""

from pathlib import Path

from personsearch.data.prepare import PrepareConfig, prepare
from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize


def prepare_people(counts: SynthesizeConfig, folder: Path) -> Path:
    """Synthesise and prepare the people in `folder`, unless they are already there; returns the prepared data set."""
    synthesize(counts, folder / "raw")
    prepare(PrepareConfig(), folder / "raw", folder / "prepared")
    return folder / "prepared"
