"""Writes the repository's copy of the OpenAPI document: `python -m serving.document`."""

import json
import tempfile
from pathlib import Path

from serving.app import create_app
from serving.settings import ServingSettings

DOCUMENT = Path(__file__).parent / "openapi.json"


def document() -> str:
    """The OpenAPI document as JSON."""
    with tempfile.TemporaryDirectory() as home:
        app = create_app(ServingSettings(home=Path(home), allow_anonymous=True))
        return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
