"""Checks Kubernetes manifests, custom resources, policies and Dockerfiles offline.

    python infra/check_manifests.py

kubectl renders each overlay, and each component over the base. Core kinds are compared with Kubernetes' own schemas,
custom resources with the CRDs in kubernetes/crds, and everything with checkov's policies for clusters.
"""

import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parent
KUBERNETES = INFRA / "kubernetes"
COMPONENTS = KUBERNETES / "components"
PIPELINES = INFRA.parent / "pipelines" / "compiled" / "kubernetes"
WHOLE = ("data", "milvus", "protection", "overlays/try", "overlays/production")
OPTIONAL = (
    "watch",
    "retention",
    "footage",
    "ingress",
    "prometheus",
    "scaling",
    "gpu",
    "backup",
    "backup-volume",
    "kubeflow",
)
OPTIONAL += ("trainer", "otel", "istio")  # last istio: it also marks what the others bring
IMAGES = ("personsearch-platform", "personsearch-training")  # tagged by overlays
CRDS = KUBERNETES / "crds"
INSTALLED = Path.home() / ".cache" / "personsearch"
CHECKOV = INSTALLED / "checkov" / "bin" / "checkov"
KUBECTL = INSTALLED / "kubectl" / "bin" / "kubectl"
DOCKERFILES = sorted((INFRA / "docker").glob("*Dockerfile"))

Schemas = dict[tuple[str, str], dict[str, Any]]


def main() -> int:
    """Print what is wrong, one line each; 1 if anything is."""
    schemas = custom_schemas(CRDS)
    manifests = {name: rendered(KUBERNETES / name) for name in WHOLE}
    manifests["components"] = with_components("addresses", *OPTIONAL)
    manifests["pipelines"] = list(yaml.load_all(pipelines_text(), yaml.CSafeLoader))
    manifests["data with shared-volumes"] = with_components("shared-volumes", resources="data")
    problems = [
        f"{place}: {problem}"
        for place, objects in manifests.items()
        for manifest in objects
        for problem in manifest_problems(manifest, schemas)
    ]
    problems += policy_problems(manifests)
    problems += [problem for path in DOCKERFILES for problem in dockerfile_problems(path)]
    print(
        "\n".join(problems)
        or f"{sum(map(len, manifests.values()))} manifests in order, and {len(DOCKERFILES)} Dockerfile"
    )
    return bool(problems)


def pipelines_text() -> str:
    """The compiled pipelines as objects of Kubernetes."""
    return "---\n".join(path.read_text(encoding="utf-8") for path in sorted(PIPELINES.glob("*.yaml")))


def rendered(folder: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization."""
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{folder}: {done.stderr.strip()}")
    return [manifest for manifest in yaml.load_all(done.stdout, yaml.CSafeLoader) if manifest]


def kubectl() -> str:
    """The program that renders."""
    found = shutil.which("kubectl") or str(KUBECTL)
    if not Path(found).is_file():
        sys.exit("kubectl is missing: run infra/require_kubectl.sh")
    return found


def with_components(*components: str, resources: str = "base") -> list[dict[str, Any]]:
    """The objects of a kustomization with components over it, in this order."""
    with tempfile.TemporaryDirectory() as folder:
        here = partial(os.path.relpath, start=Path(folder).resolve())
        content = {
            "namespace": "test",
            "resources": [here(KUBERNETES / resources)],
            "components": [here(COMPONENTS / name) for name in components],
            "images": [{"name": name, "newTag": "1.0"} for name in IMAGES],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return rendered(Path(folder))


def manifest_problems(manifest: dict[str, Any], schemas: Schemas) -> Iterator[str]:
    """The errors that a strict API server would report for one object."""
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    api_version = manifest["apiVersion"]
    if "." in api_version.partition("/")[0] and not api_version.partition("/")[0].endswith(".k8s.io"):
        schema = schemas.get((api_version, manifest["kind"]))
        if schema is None:
            yield f"{name}: no CRD for {api_version}"
        else:
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


def policy_problems(manifests: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Checkov's findings; kubernetes/checkov.yaml says which of its policies do not apply, and why."""
    if not CHECKOV.is_file():
        yield "checkov is missing: run infra/install_checkov.sh"
        return
    with tempfile.TemporaryDirectory() as folder:
        for place, objects in manifests.items():
            (Path(folder) / f"{place.replace('/', '-')}.yaml").write_text(yaml.safe_dump_all(objects))
        command = [
            str(CHECKOV),
            "--directory",
            folder,
            "--config-file",
            str(KUBERNETES / "checkov.yaml"),
            "--output",
            "json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        yield f"checkov: {(done.stderr or done.stdout).strip()}"
        return
    for failed in report["results"]["failed_checks"]:
        yield f"{failed['file_path'].strip('/')}: {failed['resource']}: {failed['check_id']} {failed['check_name']}"


def dockerfile_problems(path: Path) -> list[str]:
    """Hadolint's findings in a Dockerfile."""
    hadolint = shutil.which("hadolint") or str(Path(sys.executable).with_name("hadolint"))
    return subprocess.run([hadolint, str(path)], capture_output=True, text=True, check=False).stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
