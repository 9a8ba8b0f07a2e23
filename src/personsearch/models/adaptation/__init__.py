"""Small trained modules over a frozen CLIP: prompts, adapters, low-rank updates."""

from personsearch.models.adaptation.base import Adaptation, Unadapted
from personsearch.models.adaptation.registry import make_adaptation

__all__ = ["Adaptation", "Unadapted", "make_adaptation"]
