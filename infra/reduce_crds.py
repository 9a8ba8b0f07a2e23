"""Writes infra/kubernetes/crds/: from published CRDs, only what `check_manifests.py` compares our objects with.

    python infra/reduce_crds.py FOLDER    # FOLDER holds the CRDs, one YAML file each

Descriptions, defaults, rules in CEL and old versions are left out. Of a Milvus so are the fields in UNUSED, most of
which hold whole pods: an object of ours that uses one of them fails the check until it is kept here.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).parent / "kubernetes" / "crds"
SOURCES = {
    "milvuses.milvus.io": "zilliztech/milvus-operator v1.3.8",
    "podmonitors.monitoring.coreos.com": "prometheus-operator/prometheus-operator v0.93.0",
    "prometheusrules.monitoring.coreos.com": "prometheus-operator/prometheus-operator v0.93.0",
    "pipelines.pipelines.kubeflow.org": "kubeflow/pipelines 2.17.0",
    "pipelineversions.pipelines.kubeflow.org": "kubeflow/pipelines 2.17.0",
}
LIMITS = {"type", "required", "enum", "pattern", "nullable", "format", "anyOf", "oneOf", "minimum", "maximum"}
LIMITS |= {"minLength", "maxLength", "minItems", "maxItems"}
LIMITS |= {f"x-kubernetes-{name}" for name in ("preserve-unknown-fields", "int-or-string", "embedded-resource")}
UNUSED = {
    "affinity",
    "cdc",
    "commands",
    "dataCoord",
    "env",
    "groups",
    "hookConfig",
    "indexCoord",
    "indexNode",
    "ingress",
}
UNUSED |= {"initContainers", "podSecurityContext", "probes", "queryCoord", "rootCoord", "securityContext", "sidecars"}
UNUSED |= {"status", "tei", "volumeMounts", "volumes"}


def main(folder: Path) -> None:
    """Write one reduced file for each CRD in SOURCES."""
    found = {crd["metadata"]["name"]: crd for path in folder.glob("*.yaml") for crd in [_read(path)]}
    for name, source in SOURCES.items():
        text = yaml.safe_dump(reduced(found[name]), sort_keys=False, width=120)
        (CRDS / f"{name}.yaml").write_text(f"# From {source}, Apache-2.0; reduced by infra/reduce_crds.py.\n{text}")


def reduced(crd: dict[str, Any]) -> dict[str, Any]:
    """A CRD with the schema of its stored version alone."""
    (version,) = (version for version in crd["spec"]["versions"] if version["storage"])
    unused = UNUSED if crd["spec"]["names"]["kind"] == "Milvus" else set[str]()
    schema = {"openAPIV3Schema": _reduced(version["schema"]["openAPIV3Schema"], unused)}
    spec = {
        "group": crd["spec"]["group"],
        "scope": crd["spec"]["scope"],
        "names": {"kind": crd["spec"]["names"]["kind"]},
    }
    spec["versions"] = [{"name": version["name"], "storage": True, "schema": schema}]
    kind = {name: crd[name] for name in ("apiVersion", "kind")}
    return {**kind, "metadata": {"name": crd["metadata"]["name"]}, "spec": spec}


def _reduced(schema: dict[str, Any], unused: set[str]) -> dict[str, Any]:
    kept = {key: value for key, value in schema.items() if key in LIMITS}
    if "properties" in schema:
        fields = {name: field for name, field in schema["properties"].items() if name not in unused}
        kept["properties"] = {name: _reduced(field, unused) for name, field in fields.items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            kept[key] = _reduced(schema[key], unused)
    return kept


def _read(path: Path) -> Any:
    return yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
