"""Builds the OpenAPI document: FastAPI's, with problem details in place of its own errors."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from serving.problems import MEDIA_TYPE, ProblemDetails

REFERENCES = "#/components/schemas/{model}"


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application: a quarter of a second's work, so it is done when somebody asks."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document["components"]["schemas"]
    problem = TypeAdapter(ProblemDetails).json_schema(ref_template=REFERENCES)
    schemas |= problem.pop("$defs") | {"ProblemDetails": problem}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            if "422" in operation["responses"]:
                schema = {"$ref": REFERENCES.format(model="ProblemDetails")}
                content = {MEDIA_TYPE: {"schema": schema}}
                operation["responses"]["422"] = {"description": "Unprocessable Content", "content": content}
    return document
