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


def test_every_refusal_is_documented(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    methods = ("get", "post", "patch")
    documented = {
        path: set(next(ops[method] for method in methods if method in ops)["responses"]) for path, ops in paths.items()
    }
    judged = set(paths["/v1/verdicts"]["post"]["responses"])
    assert {"400", "401", "403", "408", "413", "415", "422", "429", "503"} <= documented["/v1/search"]
    assert documented["/v1/embed"] == documented["/v1/search"] - {"404"}
    assert documented["/v1/crops/{crop_id}/heat-maps"] == documented["/v1/search"] | {"501"}
    assert {"400", "401", "403", "404", "408", "413", "415", "422", "429", "503"} <= judged
    assert {"401", "403", "422", "429", "503"} <= documented["/v1/verdicts"]
    assert {"401", "403", "404", "408", "413", "422", "429", "503"} <= documented["/v1/crops/{crop_id}/image"]
    for path in ("frame", "clip"):
        assert documented[f"/v1/crops/{{crop_id}}/{path}"] == documented["/v1/crops/{crop_id}/image"] | {"410"}
    assert {"401", "403", "408", "413", "422", "429", "503"} <= documented["/v1/crops"]
    assert {"401", "403", "408", "413"} <= documented["/v1/cameras"]
    assert {"401", "403", "503"} <= documented["/v1/status"]
    for path in ("/v1/alerts", "/v1/alerts/events", "/v1/watched-searches"):
        assert {"401", "403", "404", "429", "503"} <= documented[path]
    assert {"400", "404", "409", "415", "422"} <= documented["/v1/watched-searches/{watch_id}"]
    sent = paths["/v1/crops"]["post"]["responses"]
    assert {"200", "201", "207", "400", "401", "403", "408", "409", "410", "413", "415", "422", "429", "503"} <= set(
        sent
    )
    body = client.post("/v1/search", content=b"[" * 60_000, headers={"Content-Type": "application/json"})
    assert body.status_code == 400
