"""The two towers of a dual encoder."""

from typing import Literal

Side = Literal["text", "image"]
SIDES: tuple[Side, ...] = ("text", "image")
