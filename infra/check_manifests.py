"""Checks Kubernetes manifests, custom resources and Dockerfiles offline.

    python infra/check_manifests.py

Custom resources are checked against the CRDs in the folder `CRD_DIR` (default ../shared/crds); without one it says so.
"""

import copy
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parent
BASE = INFRA / "kubernetes" / "base"
DOCKERFILES = sorted((INFRA / "docker").glob("*Dockerfile"))
CRD_DIR = Path(os.environ.get("CRD_DIR", INFRA.parent.parent / "shared" / "crds"))

Schemas = dict[tuple[str, str], dict[str, Any]]


def main() -> int:
    """Print what is wrong, one line each; 1 if anything is."""
    manifests = rendered(BASE)
    schemas = custom_schemas(CRD_DIR)
    if not schemas:
        print(f"{CRD_DIR}: no CRDs there; custom resources are not checked (set CRD_DIR)")
    problems = [problem for manifest in manifests for problem in manifest_problems(manifest, schemas)]
    problems += [problem for path in DOCKERFILES for problem in dockerfile_problems(path)]
    print("\n".join(problems) or f"{len(manifests)} manifests and {len(DOCKERFILES)} Dockerfile in order")
    return bool(problems)


def rendered(folder: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization; without kubectl its resources as they are written."""
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize", str(folder)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        resources = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
        text = "\n---\n".join((folder / name).read_text() for name in resources)
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def manifest_problems(manifest: dict[str, Any], schemas: Schemas) -> Iterator[str]:
    """The errors that a strict API server would report for one object."""
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    api_version = manifest["apiVersion"]
    if "." in api_version.partition("/")[0] and not api_version.partition("/")[0].endswith(".k8s.io"):
        schema = schemas.get((api_version, manifest["kind"]))
        if schema is None and schemas:
            yield f"{name}: no CRD for {api_version}"
        elif schema is not None:
            yield from (f"{name}: {problem}" for problem in schema_problems(manifest, schema))
        return
    yield from (f"{name}: {problem}" for problem in core_problems(manifest))


def core_problems(manifest: dict[str, Any]) -> Iterator[str]:
    """Problems of an object of a kind that Kubernetes itself defines, unknown fields included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kubernetes_validate

        try:
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            yield str(error).splitlines()[0]


def schema_problems(manifest: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Problems of a custom resource against the closed schema of its CRD."""
    import jsonschema

    for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest):
        yield f"{'/'.join(map(str, error.absolute_path)) or 'object'}: {error.message}"


def custom_schemas(folder: Path) -> Schemas:
    """The schema of each version of each CRD in a folder, closed against unknown fields."""
    schemas: Schemas = {}
    for path in sorted(folder.glob("*.yaml")):
        crd = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for version in crd["spec"]["versions"]:
            schema = closed(copy.deepcopy(version["schema"]["openAPIV3Schema"]))
            schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
            schemas[f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]] = schema
    return schemas


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A structural schema as JSON Schema: unknown fields refused as the API server does, its extensions understood."""
    if schema.pop("x-kubernetes-int-or-string", False):
        return {"type": ["integer", "string"]}
    if "properties" in schema:
        schema["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = closed(schema[key])
    if schema.pop("nullable", False) and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema


def dockerfile_problems(path: Path) -> list[str]:
    """Hadolint's findings in a Dockerfile."""
    hadolint = shutil.which("hadolint") or str(Path(sys.executable).with_name("hadolint"))
    return subprocess.run([hadolint, str(path)], capture_output=True, text=True, check=False).stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
