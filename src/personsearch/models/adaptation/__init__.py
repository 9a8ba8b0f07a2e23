"""Small trained modules over a frozen CLIP: prompts, adapters, low-rank updates."""

from personsearch.models.adaptation.base import Adaptation
from personsearch.models.adaptation.registry import make_adaptation

__all__ = ["Adaptation", "make_adaptation"]
