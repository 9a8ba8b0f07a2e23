"""Writes infra/kubernetes/crds/: from published CRDs, only what `check_manifests.py` compares our objects with.

    python infra/reduce_crds.py FOLDER    # FOLDER holds the CRDs, one YAML file each

Descriptions, defaults, rules in CEL and old versions are left out. So are the fields in UNUSED, most of which hold
whole pods or choices that we do not make: an object of ours that uses one of them fails the check until it is kept.
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
    "trainingruntimes.trainer.kubeflow.org": "kubeflow/trainer v2.3.0",
    "trainjobs.trainer.kubeflow.org": "kubeflow/trainer v2.3.0",
}
LIMITS = {"type", "required", "enum", "pattern", "nullable", "format", "anyOf", "oneOf", "minimum", "maximum"}
LIMITS |= {"minLength", "maxLength", "minItems", "maxItems"}
LIMITS |= {f"x-kubernetes-{name}" for name in ("preserve-unknown-fields", "int-or-string", "embedded-resource")}
OF_MILVUS = "affinity cdc commands dataCoord env groups hookConfig indexCoord indexNode ingress initContainers"
OF_MILVUS += " podSecurityContext probes queryCoord rootCoord securityContext sidecars status tei volumeMounts volumes"
OF_TRAINER = "affinity awsElasticBlockStore azureDisk azureFile cephfs cinder csi dnsConfig downwardAPI ephemeral fc"
OF_TRAINER += " ephemeralContainers flexVolume flocker flux gcePersistentDisk gitRepo glusterfs hostPath initContainers"
OF_TRAINER += " initializer iscsi jax lifecycle livenessProbe mpi nfs photonPersistentDisk podFailurePolicy quobyte rbd"
OF_TRAINER += " podGroupPolicy portworxVolume projected readinessProbe resourceClaims scaleIO startupProbe status"
OF_TRAINER += " storageos topologySpreadConstraints volumeClaimPolicies vsphereVolume xgboost"
UNUSED = {
    "Milvus": set(OF_MILVUS.split()),
    "TrainJob": set(OF_TRAINER.split()),
    "TrainingRuntime": set(OF_TRAINER.split()),
}


def main(folder: Path) -> None:
    """Write one reduced file for each CRD in SOURCES."""
    found = {crd["metadata"]["name"]: crd for path in folder.glob("*.yaml") for crd in [_read(path)]}
    for name, source in SOURCES.items():
        text = yaml.safe_dump(reduced(found[name]), sort_keys=False, width=120)
        (CRDS / f"{name}.yaml").write_text(f"# From {source}, Apache-2.0; reduced by infra/reduce_crds.py.\n{text}")


def reduced(crd: dict[str, Any]) -> dict[str, Any]:
    """A CRD with the schema of its stored version alone."""
    (version,) = (version for version in crd["spec"]["versions"] if version["storage"])
    unused = UNUSED.get(crd["spec"]["names"]["kind"], set[str]())
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
