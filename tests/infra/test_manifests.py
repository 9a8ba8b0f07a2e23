"""The check of manifests finds what a cluster would refuse, and what we ship passes it."""

import copy
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
import yaml

from components.images import PLATFORM_IMAGE, TRAINING_IMAGE
from personsearch.cli import app
from personsearch.installation.service_commands import KINDS
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.schema import migrate
from personsearch.integrations.kubeflow.cluster import POD_TOKEN_VARIABLE
from personsearch.integrations.kubeflow.trainjobs import NODE, RUNTIME
from personsearch.integrations.telemetry.tracer import ENDPOINT
from pipelines.cluster import (
    ADDRESSES,
    REGISTRY_SECRETS,
    SETTINGS,
    VOLUMES,
    cluster_config,
)
from serving.settings import ServingSettings
from tests.docs.test_commands import mistakes

ROOT = Path(__file__).parents[2]


def load_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_manifests", ROOT / "infra" / "check_manifests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


check = load_check()


OVERLAYS = ("overlays/try", "overlays/production")
ENGINES = {
    "postgresql": ("PGHOST", "PGPORT"),
    "store": ("AWS_ENDPOINT_URL", None),
    "mlflow": ("PERSONSEARCH_MLFLOW_URI", None),
    "milvus": ("PERSONSEARCH_MILVUS_URI", None),
}

Objects = list[dict[str, Any]]


@pytest.fixture(scope="module")
def whole() -> dict[str, Objects]:
    """Everything that we ship, by kustomization."""
    return {name: check.rendered(check.KUBERNETES / name) for name in check.WHOLE}


@pytest.fixture(scope="module")
def with_every_component() -> Objects:
    return check.with_components("addresses", *check.OPTIONAL)


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, whole: dict[str, Objects]) -> Objects:
    return whole[request.param]


def named(manifests: Objects, kind: str, name: str) -> dict[str, Any]:
    (found,) = (m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return copy.deepcopy(found)


def of_kind(manifests: Objects, *kinds: str) -> Objects:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def template(manifest: dict[str, Any]) -> dict[str, Any]:
    """The template of the pods that an object starts."""
    spec = manifest["spec"]
    if manifest["kind"] == "TrainingRuntime":
        (job,) = spec["template"]["spec"]["replicatedJobs"]
        spec = job["template"]["spec"]
    return (spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec)["template"]


def workloads(manifests: Objects) -> Objects:
    return of_kind(manifests, "Deployment", "StatefulSet", "Job", "CronJob", "TrainingRuntime")


def containers(manifest: dict[str, Any]) -> Objects:
    pod = template(manifest)["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def settings(manifests: Objects) -> dict[str, str]:
    return named(manifests, "ConfigMap", SETTINGS)["data"]


def place(given: dict[str, str], host: str, port: str | None) -> tuple[str, int]:
    """Host and port of an engine by the settings that name them."""
    if port:
        return given[host], int(given[port])
    address = urlsplit(given[host])
    assert address.hostname is not None
    assert address.port is not None, f"{host} names its port"
    return address.hostname, address.port


def test_what_we_ship_is_in_order(whole: dict[str, Objects], with_every_component: Objects) -> None:
    schemas = check.custom_schemas(check.CRDS)
    for objects in (*whole.values(), with_every_component):
        assert [problem for manifest in objects for problem in check.manifest_problems(manifest, schemas)] == []


def test_every_component_is_rendered_by_the_check() -> None:
    named_there = {*check.OPTIONAL, "addresses", "external-engines", "shared-volumes"}
    assert {path.parent.name for path in check.COMPONENTS.glob("*/kustomization.yaml")} == named_there


def test_an_unknown_field_of_a_core_kind_is_found(overlay: Objects) -> None:
    deployment = named(overlay, "Deployment", "personsearch-serving")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    (problem,) = check.manifest_problems(deployment, {})
    assert "livenesProbe" in problem


@pytest.mark.parametrize(
    ("kind", "where", "problem"),
    [
        ("Milvus", ["spec", "mode"], "'single' is not one of"),
        ("Milvus", ["spec", "components", "standalone", "replica"], "replica"),
        ("Milvus", ["spec", "dependencies", "storage", "secret"], "secret"),
    ],
)
def test_a_wrong_field_of_a_custom_resource_is_found(
    whole: dict[str, Objects], kind: str, where: list[str], problem: str
) -> None:
    (manifest,) = of_kind(whole["overlays/try"], kind)
    changed = copy.deepcopy(manifest)
    at = changed
    for name in where[:-1]:
        at = at[name]
    at[where[-1]] = "single"
    (said,) = check.manifest_problems(changed, check.custom_schemas(check.CRDS))
    assert problem in said


def test_a_kind_without_a_schema_is_said(overlay: Objects) -> None:
    manifest = {"apiVersion": "example.com/v1", "kind": "Watch", "metadata": {"name": "w"}}
    assert list(check.manifest_problems(manifest, {})) == ["Watch/w: no CRD for example.com/v1"]


CRD = {
    "spec": {
        "group": "example.com",
        "names": {"kind": "Watch"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["port"],
                                "properties": {
                                    "port": {"x-kubernetes-int-or-string": True, "anyOf": []},
                                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    "note": {"type": "string", "nullable": True},
                                },
                            }
                        },
                    }
                },
            }
        ],
    }
}


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ({"port": 80}, 0),
        ({"port": "http", "free": {"any": 1}, "note": None}, 0),
        ({"port": 1.5}, 1),
        ({}, 1),
        ({"port": 80, "prot": 80}, 1),
    ],
)
def test_custom_resources_are_held_against_their_crd(tmp_path: Path, spec: dict[str, Any], problems: int) -> None:
    (tmp_path / "watch.yaml").write_text(yaml.safe_dump(CRD))
    manifest = {"apiVersion": "example.com/v1", "kind": "Watch", "metadata": {"name": "w"}, "spec": spec}
    assert len(list(check.manifest_problems(manifest, check.custom_schemas(tmp_path)))) == problems


def test_pipelines_find_their_settings_and_volumes(whole: dict[str, Objects], overlay: Objects) -> None:
    assert set(ADDRESSES) <= set(settings(overlay))
    assert settings(overlay)["PERSONSEARCH_CHECKPOINTS"].startswith("s3://"), "a new volume would belong to root"
    assert {claim["metadata"]["name"] for claim in of_kind(whole["data"], "PersistentVolumeClaim")} == set(VOLUMES)
    (job,) = of_kind(whole["data"], "Job")
    mounts = {mount["name"]: mount["mountPath"] for mount in containers(job)[0]["volumeMounts"]}
    volumes = {each["name"]: each["persistentVolumeClaim"]["claimName"] for each in template(job)["spec"]["volumes"]}
    assert {volumes[name]: path for name, path in mounts.items()} == VOLUMES
    assert template(job)["spec"]["securityContext"]["fsGroup"] == 10001


def test_settings_are_valid_and_name_every_engine(overlay: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PERSONSEARCH_"):
            monkeypatch.delenv(name)
    given = settings(overlay)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    here = ServingSettings()
    unknown = {name for name in given if name.startswith("PERSONSEARCH_")}
    unknown -= {f"PERSONSEARCH_{name.upper()}" for name in ServingSettings.model_fields}
    assert unknown == {"PERSONSEARCH_CHECKPOINTS"}, "which steps of pipelines read"
    assert here.milvus_index == "HNSW"
    assert here.mlflow_address == given["MLFLOW_TRACKING_URI"]
    assert here.crops_address.startswith("s3://")
    assert here.audit_anchor_address.startswith("s3://")
    assert "PERSONSEARCH_DATABASE" not in given, "it holds a password"


def test_the_database_finds_its_server_in_the_settings(new_postgresql: Callable[[], str], monkeypatch: Any) -> None:
    """The Secret's address names user, password and database alone; libpq takes the rest from PGHOST and PGPORT."""
    address = sa.make_url(new_postgresql())
    monkeypatch.setenv("PGHOST", str(address.query["host"]))
    database = Database(f"postgresql://{address.username}:any@/{address.database}")
    assert migrate(database) is None
    assert migrate(database) is not None
    database.close()


def test_network_rules_follow_the_addresses(whole: dict[str, Objects]) -> None:
    for name, rule in (("overlays/try", "namespaceSelector"), ("overlays/production", "ipBlock")):
        given = settings(whole[name])
        for engine, (host, port) in ENGINES.items():
            (out,) = named(whole[name], "NetworkPolicy", f"personsearch-to-{engine}")["spec"]["egress"]
            at, number = place(given, host, port)
            assert out["ports"] == [{"protocol": "TCP", "port": number}], engine
            if rule == "ipBlock":
                assert out["to"] == [{"ipBlock": {"cidr": given[f"{engine.upper()}_NETWORK"]}}]
            else:
                labels = {"kubernetes.io/metadata.name": at.split(".")[1]}
                assert out["to"] == [{"namespaceSelector": {"matchLabels": labels}}]


def test_the_promoter_may_reach_kubeflow(with_every_component: Objects) -> None:
    address = urlsplit(settings(with_every_component)["KF_PIPELINES_ENDPOINT"])
    rule = named(with_every_component, "NetworkPolicy", "personsearch-to-kubeflow")["spec"]
    assert rule["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "personsearch-promoter"}
    (out,) = rule["egress"]
    assert out["ports"] == [{"protocol": "TCP", "port": address.port}]
    labels = {"kubernetes.io/metadata.name": str(address.hostname).split(".")[1]}
    assert out["to"] == [{"namespaceSelector": {"matchLabels": labels}}]
    promoter = template(named(with_every_component, "Deployment", "personsearch-promoter"))["spec"]
    (container,) = promoter["containers"]
    token = next(each["value"] for each in container["env"] if each["name"] == POD_TOKEN_VARIABLE)
    assert Path(token).parent.as_posix() in {mount["mountPath"] for mount in container["volumeMounts"]}
    (projected,) = (each["projected"] for each in promoter["volumes"] if "projected" in each)
    assert projected["sources"][0]["serviceAccountToken"]["path"] == Path(token).name
    binding = named(with_every_component, "RoleBinding", "personsearch-runs")
    assert binding["subjects"][0]["name"] == promoter["serviceAccountName"]


def test_nodes_of_a_training_find_their_store_and_each_other(with_every_component: Objects) -> None:
    runtime = named(with_every_component, "TrainingRuntime", RUNTIME)
    (container,) = containers(runtime)
    assert container["name"] == NODE
    read = {each["name"]: each["valueFrom"] for each in container["env"] if "valueFrom" in each}
    secret = {name for name, source in read.items() if "secretKeyRef" in source}
    assert secret == set(REGISTRY_SECRETS)
    for key in read.keys() - secret:
        assert read[key] == {"configMapKeyRef": {"name": SETTINGS, "key": key}}
        assert key in settings(with_every_component)
    name = template(runtime)["metadata"]["labels"]["app.kubernetes.io/name"]
    label = {"matchLabels": {"app.kubernetes.io/name": name}}
    rule = named(with_every_component, "NetworkPolicy", "personsearch-training")["spec"]
    assert rule["podSelector"] == label
    assert rule["ingress"] == [{"from": [{"podSelector": label}]}]
    assert rule["egress"] == [{"to": [{"podSelector": label}]}]
    (selected,) = named(with_every_component, "NetworkPolicy", "personsearch-to-mlflow")["spec"]["podSelector"].values()
    assert name in selected[0]["values"]


def test_traces_reach_their_collector(with_every_component: Objects) -> None:
    address = urlsplit(settings(with_every_component)[ENDPOINT])
    (out,) = named(with_every_component, "NetworkPolicy", "personsearch-to-otel")["spec"]["egress"]
    assert out["ports"] == [{"protocol": "TCP", "port": address.port}]
    labels = {"kubernetes.io/metadata.name": str(address.hostname).split(".")[1]}
    assert out["to"] == [{"namespaceSelector": {"matchLabels": labels}}]


def test_the_training_step_may_do_what_it_does_and_no_more(with_every_component: Objects) -> None:
    allowed = {
        (resource, verb)
        for rule in named(with_every_component, "Role", "personsearch-trainjobs")["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    asked = {("trainjobs", verb) for verb in ("create", "get", "delete")}
    assert allowed == asked | {("pods", "get"), ("pods", "list"), ("pods/log", "get")}


def test_the_promoter_reads_what_its_runs_get(with_every_component: Objects, tmp_path: Path) -> None:
    (params,) = (
        each["data"]
        for each in of_kind(with_every_component, "ConfigMap")
        if each["metadata"]["name"].startswith("personsearch-params")
    )
    named_there = Path(settings(with_every_component)["PERSONSEARCH_KUBEFLOW_CLUSTER"])
    (tmp_path / "cluster.yaml").write_text(params[named_there.name])
    assert cluster_config(tmp_path / "cluster.yaml") == cluster_config()


def test_addresses_of_the_overlay_try_are_services_of_its_engines(whole: dict[str, Objects]) -> None:
    objects = whole["overlays/try"]
    services = {
        (f"{each['metadata']['name']}.{each['metadata']['namespace']}.svc.cluster.local", port["port"])
        for each in of_kind(objects, "Service")
        for port in each["spec"]["ports"]
    }
    (milvus,) = of_kind(objects, "Milvus")
    operated = f"{milvus['metadata']['name']}-milvus.{milvus['metadata']['namespace']}.svc.cluster.local"
    services.add((operated, 19530))
    assert {place(settings(objects), host, port) for host, port in ENGINES.values()} <= services


def test_every_rule_selects_pods_that_exist(whole: dict[str, Objects], with_every_component: Objects) -> None:
    labels = [template(each)["metadata"]["labels"] for each in workloads(with_every_component)]
    assert {each["app.kubernetes.io/part-of"] for each in labels} == {"personsearch"}
    for policy in of_kind(with_every_component, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        selected = selector.get("matchLabels", {}).items()
        among = {name for each in selector.get("matchExpressions", []) for name in each["values"]}
        assert among <= {each["app.kubernetes.io/name"] for each in labels}, policy["metadata"]["name"]
        assert any(selected <= each.items() for each in labels), policy["metadata"]["name"]


def test_a_changed_setting_restarts_what_reads_it(with_every_component: Objects) -> None:
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(with_every_component, "ConfigMap")}
    for deployment in of_kind(with_every_component, "Deployment"):
        read = {
            source["configMapRef"]["name"]
            for source in containers(deployment)[0]["envFrom"]
            if "configMapRef" in source
        }
        (name,) = read
        assert re.fullmatch(r"personsearch-settings-[a-z0-9]{10}", name)
        assert maps[name] == maps["personsearch"]


def test_a_migration_belongs_to_its_version_and_can_be_applied_again(overlay: Objects) -> None:
    """The fields of a Job cannot be changed, so nothing in it may change with the settings."""
    (job,) = of_kind(overlay, "Job")
    (container,) = containers(job)
    assert job["metadata"]["name"] == f"personsearch-migrate-{container['image'].rpartition(':')[2]}"
    read = [source["configMapRef"]["name"] for source in container["envFrom"] if "configMapRef" in source]
    assert read == ["personsearch"]


def test_serving_is_replaced_without_a_gap(overlay: Objects) -> None:
    deployment = named(overlay, "Deployment", "personsearch-serving")["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    scalers = of_kind(overlay, "HorizontalPodAutoscaler")
    replicas = scalers[0]["spec"]["minReplicas"] if scalers else deployment["replicas"]
    assert replicas >= 2
    assert ("replicas" in deployment) != bool(scalers), "an applied number would undo the scaler's"
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (_, pause) = container["lifecycle"]["preStop"]["exec"]["command"]
    command = KINDS["serving"].command(Path(), 8000)
    drain = int(command[command.index("--timeout-graceful-shutdown") + 1])
    assert pod["terminationGracePeriodSeconds"] >= int(pause) + drain + 15


def test_search_waits_for_the_migration(overlay: Objects, new_postgresql: Callable[[], str], tmp_path: Path) -> None:
    """Each turn of the init container's loop fails until the database has this version's schema, and then ends it."""
    (waiting,) = template(named(overlay, "Deployment", "personsearch-serving"))["spec"]["initContainers"]
    (loop,) = re.findall(r"until (.*?) >/dev/null; do sleep 3; done", waiting["command"][2])
    command = [sys.executable, "-m", "personsearch", *shlex.split(loop)[1:]]
    address = new_postgresql()
    here = os.environ | {"PERSONSEARCH_HOME": str(tmp_path), "PERSONSEARCH_DATABASE": address}
    before = subprocess.run(command, env=here, capture_output=True, text=True, check=False)
    assert before.returncode != 0
    assert "personsearch migrate" in before.stderr
    database = Database(address)
    migrate(database)
    database.close()
    assert subprocess.run(command, env=here, capture_output=True, check=False).returncode == 0


def test_deleting_an_overlay_deletes_no_data(whole: dict[str, Objects], overlay: Objects) -> None:
    assert of_kind(overlay, "PersistentVolumeClaim", "PersistentVolume", "Namespace", "Secret") == []
    for stateful in of_kind(overlay, "StatefulSet"):
        assert "persistentVolumeClaimRetentionPolicy" not in stateful["spec"], "which keeps claims by default"
    claims = of_kind(whole["data"], "PersistentVolumeClaim")
    for stateful in of_kind(whole["overlays/try"], "StatefulSet"):
        claims += stateful["spec"]["volumeClaimTemplates"]
    assert len(claims) == 4
    (policy,) = of_kind(whole["protection"], "ValidatingAdmissionPolicy")
    (rule,) = policy["spec"]["validations"]
    for claim in claims:
        assert claim["metadata"]["labels"]["personsearch/keep"] == "true"
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert '"personsearch/keep" in oldObject.metadata.labels' in rule["expression"]
    (milvus,) = of_kind(whole["overlays/try"], "Milvus")
    assert milvus["spec"]["dependencies"]["etcd"]["inCluster"]["deletionPolicy"] == "Retain"


def test_volumes_are_shared_only_where_a_user_asks() -> None:
    claims = of_kind(check.with_components("shared-volumes", resources="data"), "PersistentVolumeClaim")
    assert [claim["spec"]["accessModes"] for claim in claims] == [["ReadWriteMany"]]


def test_every_pod_runs_without_privileges(whole: dict[str, Objects], with_every_component: Objects) -> None:
    """As the Pod Security Standard `restricted` asks, and with a file system that nobody can write."""
    found = [each for objects in (*whole.values(), with_every_component) for each in workloads(objects)]
    assert len(found) > 15
    for manifest in found:
        pod = template(manifest)["spec"]
        assert pod["automountServiceAccountToken"] is False, manifest["metadata"]["name"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 10000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(manifest):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


def test_a_sidecar_reaches_istio_and_no_job_has_one(whole: dict[str, Objects], with_every_component: Objects) -> None:
    """Without istiod a sidecar is never ready, one in a Job never ends, and none runs before init containers."""
    for objects in (whole["overlays/production"], with_every_component):
        for manifest in workloads(objects):
            labels = template(manifest)["metadata"]["labels"]
            serves = manifest["kind"] == "Deployment"
            assert labels["sidecar.istio.io/inject"] == str(serves).lower(), manifest["metadata"]["name"]
            if serves:
                annotations = template(manifest)["metadata"]["annotations"]
                assert annotations["traffic.sidecar.istio.io/excludeOutboundPorts"] == settings(objects)["PGPORT"]
        out = named(objects, "NetworkPolicy", "personsearch-sidecar")["spec"]
        assert out["podSelector"]["matchLabels"]["sidecar.istio.io/inject"] == "true"
        assert out["egress"][0]["ports"] == [{"protocol": "TCP", "port": 15012}]
        gateway = named(objects, "NetworkPolicy", "personsearch-from-gateway")["spec"]["ingress"][0]
        assert gateway["from"][0]["podSelector"]["matchLabels"] == {"istio": "ingressgateway"}
        assert gateway["ports"] == [{"protocol": "TCP", "port": 8000}]


def test_the_gateway_leads_to_search_below_a_prefix(with_every_component: Objects) -> None:
    """What is relative in the page stays below the prefix only if the address ends with a slash."""
    route = named(with_every_component, "VirtualService", "personsearch")
    page, service = route["spec"]["http"]
    prefix = service["match"][0]["uri"]["prefix"]
    assert page["redirect"]["uri"] == prefix == f"{page['match'][0]['uri']['exact']}/"
    assert service["rewrite"] == {"uri": "/"}
    destination = service["route"][0]["destination"]
    (port,) = named(with_every_component, "Service", destination["host"])["spec"]["ports"]
    assert destination["port"] == {"number": port["port"]}
    schemas = check.custom_schemas(check.CRDS)
    assert list(check.manifest_problems(route, schemas)) == []
    service["rewrite"] = {"url": "/"}
    assert any("url" in problem for problem in check.manifest_problems(route, schemas))
    here = (ROOT / "serving" / "web" / "index.html").read_text()
    assert re.findall(r"""(?:src|href)=["'](/[^"']*)""", here) == []


def test_every_command_parses(whole: dict[str, Objects], with_every_component: Objects) -> None:
    """Nothing is run; in a shell's script each call of ours is looked at."""
    command_line, found = app.command_line(), set[str]()
    for objects in (*whole.values(), with_every_component):
        for manifest in workloads(objects):
            for container in containers(manifest):
                words = container.get("command", [])
                script = words[2] if words[:1] == ["sh"] and len(words) > 2 else shlex.join(words)
                found |= set(re.findall(r"personsearch (?:[^;&|>\n]|\$\([^)]*\))+", script))
    ours = {
        line.replace('"$BACKUP_DAYS"', "30")
        .replace('"$(date --utc --date "$RETENTION_DAYS days ago" +%Y-%m-%dT%H:%M:%SZ)"', "2026-01-01T00:00:00Z")
        .replace("'$(FOOTAGE_DAYS)'", "30")
        for line in found
    }
    assert {line.split()[1] for line in ours} == {"audit", "backup", "gallery", "keys", "migrate", "promoter", "watch"}
    assert mistakes(command_line, ours) == []


def test_retention_names_a_time_that_the_command_understands(with_every_component: Objects) -> None:
    (container,) = containers(named(with_every_component, "CronJob", "personsearch-retention"))
    (date,) = re.findall(r"\$\((date .*)\)", container["command"][2])
    days = {each["name"]: each.get("value") for each in container["env"]}["RETENTION_DAYS"]
    printed = subprocess.run(
        ["sh", "-c", date],
        env={"RETENTION_DAYS": days, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    age = datetime.now(UTC) - datetime.fromisoformat(printed.stdout.strip())
    assert age.days == int(days)


GUIDE = (ROOT / "docs" / "cluster.md").read_text()


def test_the_image_serves_as_an_installation_does() -> None:
    """Its flags too: without a limit a half-sent request would outlive the 30 s that a cluster grants."""
    (dockerfile,) = check.DOCKERFILES
    (command,) = re.findall(r"^CMD (\[.*?\])$", dockerfile.read_text().replace("\\\n", ""), re.MULTILINE)
    in_image, here = json.loads(command), KINDS["serving"].command(Path(), 8000)
    listens = in_image.index("--host"), here.index("--fd")
    assert in_image[: listens[0]] == here[here.index("uvicorn") : listens[1]]
    assert in_image[listens[0] + 4 :] == here[listens[1] + 2 :]
    assert "serving.connections:Connection" in in_image


def test_dockerfile_is_clean_and_builds_the_images_that_components_name(tmp_path: Path) -> None:
    (dockerfile,) = check.DOCKERFILES
    assert check.dockerfile_problems(dockerfile) == []
    text = dockerfile.read_text()
    for image in (TRAINING_IMAGE, PLATFORM_IMAGE):
        assert f"AS {image.partition(':')[0].removeprefix('personsearch-')}\n" in text
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nRUN pip install torch\n")
    assert check.dockerfile_problems(bad) != []
