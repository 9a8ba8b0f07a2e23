"""How precise and complete alerts were, by threshold, where that was measured: `benchmarks/alerts.py` writes the file.

The page shows these figures before somebody switches a watched search on.
"""

from pathlib import Path

from personsearch.config import Config
from personsearch.files import write_json

FIGURES = Path(__file__).with_name("figures.json")


class Point(Config):
    """What alerts at a threshold were."""

    threshold: float
    """Confidence from which a crop raised an alert."""

    alerts: int
    """Alerts of all searches together."""

    right: int
    """Those whose track shows the person described: that pass was found."""

    precision: float | None
    """Share of right ones among the alerts; null without any."""

    recall: float
    """Share of those passes that raised an alert."""


class Stream(Config):
    """A stream of crops that arrived one after the other, with searches watched from its beginning."""

    name: str
    """Of the stream: `synthetic` or `footage`."""

    searches: int
    """Descriptions that were watched for."""

    absent: int
    """Those of them that describe nobody in the stream."""

    tracks: int
    """Tracks that passed."""

    passes: int
    """Tracks of people who were watched for, once for each search: what could be found."""

    points: list[Point]
    """By threshold, the lowest first."""


class Figures(Config):
    """What was measured, and with which model."""

    fingerprint: str
    """Of the model."""

    streams: list[Stream]
    """One for each kind of footage."""


def read_figures() -> Figures:
    """The figures that this version comes with."""
    return Figures.model_validate_json(FIGURES.read_bytes())


def write_figures(figures: Figures) -> None:
    """Replace them."""
    write_json(FIGURES, figures.model_dump())
