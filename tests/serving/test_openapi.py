"""The committed OpenAPI document is the one that is served."""

import json

from fastapi.testclient import TestClient

from serving.document import DOCUMENT, document


def test_the_committed_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `python -m serving.document` and commit the result"


def test_every_reference_resolves_and_errors_are_problems(client: TestClient) -> None:
    served = client.get("/openapi.json").json()
    schemas = served["components"]["schemas"]
    references = {part.split('"')[0] for part in json.dumps(served).split("#/components/schemas/")[1:]}
    assert references <= set(schemas)
    assert "HTTPValidationError" not in schemas
    search = served["paths"]["/v1/search"]["post"]["responses"]
    assert "application/problem+json" in search["422"]["content"]
