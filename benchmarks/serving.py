"""Two replicas, two promoters and real engines on this machine under load, while replicas or engines are killed.

Run: `python benchmarks/serving.py [--clients 32] [--rate 20] [--seconds 120] [--kill-engines | --steady]
[--milvus standalone]`. It starts PostgreSQL, SeaweedFS (S3), a Milvus (Lite's server, or a standalone 2.3.5), MLflow,
two replicas of the service and two promoters, each with a home of its own. Clients search through a load balancer while
one replica is killed every ten seconds, `champion` moves ten times between two models, crops arrive and every fifth is
erased. With `--kill-engines` each engine and the promoter that leads are killed, too, one after the other; with
`--steady` nothing is, and `champion` stays. Nothing may fail, no answer may come from two models, no acknowledged crop
may be lost, and no crop be returned whose erasure was acknowledged.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.promotion import NOON, SHIPPED, pictures
from benchmarks.support.load import Balancer, Service, Truth
from benchmarks.support.machines import Installation, installation, server_engines
from benchmarks.support.traffic import Traffic, held_after_erasure
from personsearch.bundle import WEIGHTS, Bundle
from personsearch.compression.forms import build_form
from personsearch.encoders.golden import write_golden
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.gallery.store import Gallery
from personsearch.installation.api_keys import make_key, open_keys
from personsearch.installation.platforms import open_gallery, open_registry
from personsearch.installation.settings import Settings
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.schema import migrate
from personsearch.search.crop import BoundingBox, Crop

MOVES = 10
SETTLE_SECONDS = 60.0
KILL_SECONDS = 10.0
ENGINES_SECONDS = 120.0  # that killing the engines may add
PICTURES = 400  # that differ; crops share them
ZEROS = ("failed", "mismatched", "lost", "erased_returned")


def main() -> int:
    """Start everything, load it, report; 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds that a client thinks between two searches")
    parser.add_argument("--rate", type=float, default=20.0, help="crops that arrive in a second")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long the load lasts")
    parser.add_argument("--crops", type=int, default=500, help="crops that are there before")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--kill-engines", action="store_true", help="kill each engine and the leading promoter, too")
    how.add_argument("--steady", action="store_true", help="kill nothing and leave `champion` where it is")
    parser.add_argument(
        "--milvus", choices=("lite", "standalone"), default="lite", help="Milvus Lite's server, or 2.3.5"
    )
    parser.add_argument("--keep", type=Path, help="a folder in which logs stay")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="personsearch-", ignore_cleanup_errors=True) as folder:
        result = run(Path(folder), options)
    if options.json:
        print(json.dumps(result))
    else:
        report(result, options)
    return int(any(result[name] for name in ZEROS))


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start everything in a folder, and load it."""
    say("making two models")
    models = two_models(folder)
    say("starting engines")
    with (
        server_engines(folder, milvus_lite=options.milvus == "lite") as engines,
        installation(folder, engines) as machines,
    ):
        try:
            migrate(Database(Settings().database_address))
            gallery = open_gallery(Settings())
            longest = options.seconds + (ENGINES_SECONDS if options.kill_engines else 0)
            jpegs = pictures(PICTURES)
            sent = {f"live-{n:06}": jpegs[n % PICTURES] for n in range(round(options.rate * longest))}
            held = {f"crop-{n:06}": jpegs[n % PICTURES] for n in range(options.crops)}
            say("registering")
            truth = register(models, jpegs, [*held, *sent])
            fill(gallery, held)
            key = make_key(open_keys(Settings()), "benchmark", scopes=("search", "ingest"))
            say("starting replicas and promoters")
            start(machines)
            say("load")
            with Balancer(machines.addresses, key) as balancer:
                return load(Service(balancer, truth), machines, gallery, sent, options)
        finally:
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                for log in folder.glob("*.log"):
                    shutil.copy(log, options.keep)


def two_models(folder: Path) -> list[Bundle]:
    """The shipped model in half precision, and the same with its dimensions in another order: a query of one finds
    nothing sensible among the vectors of the other, and both find the same.
    """
    import torch

    from personsearch.encoders.torch import TorchEncoder
    from personsearch.models.build import load_bundle_model
    from personsearch.training.checkpoint import save_weights

    other = Bundle.open(shutil.copytree(SHIPPED, folder / "other"))
    model = load_bundle_model(other).model
    with torch.no_grad():
        for projection in (model.clip.visual.proj, model.clip.text_projection):
            projection.copy_(projection.flip(1).clone())
    save_weights(other.path(WEIGHTS), model, torch.float32)
    other = Bundle.open(other.folder)
    write_golden(other, TorchEncoder.from_bundle(other, "cpu"))
    return [
        build_form(Bundle.open(source), "onnx-fp16", "onnxruntime", folder / name)
        for source, name in ((SHIPPED, "first"), (other.folder, "second"))
    ]


def register(models: Sequence[Bundle], jpegs: Sequence[bytes], crop_ids: Sequence[str]) -> Truth:
    """Register the models, promote the first, and learn what each computes. Crop ids end with their number."""
    registry, truth = open_registry(Settings()), Truth()
    for bundle in models:
        version = registry.register(bundle, metrics={}, tags={})
        truth.learn(
            version, bundle.fingerprint, load_graph_encoder(bundle), {str(n): jpeg for n, jpeg in enumerate(jpegs)}
        )
        vectors = truth.crops[version]
        truth.crops[version] = {each: vectors[str(int(each[-6:]) % len(jpegs))] for each in crop_ids}
    registry.promote("1")
    return truth


def fill(gallery: Gallery, held: Mapping[str, bytes]) -> None:
    """Add the crops that are there before."""
    box = BoundingBox(0, 0, 64, 128)
    gallery.add(
        (Crop(crop_id, f"camera-{n % 8}", NOON, f"track-{n // 5}", "", box, "", 0.5, NOON), jpeg)
        for n, (crop_id, jpeg) in enumerate(held.items())
    )


def start(machines: Installation) -> None:
    """Two promoters and two replicas; returns when these are ready."""
    for _ in range(2):
        machines.add_promoter()
        machines.add_replica()
    machines.wait_until_ready()


def load(
    service: Service, machines: Installation, gallery: Gallery, sent: Mapping[str, bytes], options: argparse.Namespace
) -> dict[str, Any]:
    """Load the installation for the time that was asked for, then count what is missing."""
    traffic = Traffic(service, machines, gallery, dict(sent))
    for work in kinds(traffic, options):
        traffic.begin(work)
    try:
        traffic.stop.wait(options.seconds)
        if options.kill_engines:
            traffic.engines_killed.wait(ENGINES_SECONDS)
    finally:
        traffic.end()
    say("settling")
    lost = traffic.lost(SETTLE_SECONDS)
    held = held_after_erasure(Settings(), list(service.crops.erased))
    for note in [*service.tally.notes, *(f"lost: {crop_id}" for crop_id in lost[:10])]:
        print(note, file=sys.stderr)
    return summary(traffic, lost, held)


def kinds(traffic: Traffic, options: argparse.Namespace) -> list[Callable[[], None]]:
    """Everything that happens at the same time."""
    searches = [lambda seed=seed: traffic.search(seed, options.pause) for seed in range(options.clients)]
    moves = [str(2 - number % 2) for number in range(MOVES)]
    work: list[Callable[[], None]] = [
        *searches,
        lambda: traffic.send(list(traffic.pictures), options.rate),
        traffic.erase,
        traffic.probe,
        traffic.watch_store,
    ]
    if not options.steady:
        work.append(lambda: traffic.move(moves, options.seconds / (MOVES + 0.5)))
        work.append(lambda: traffic.kill_replicas(KILL_SECONDS))
    if options.kill_engines:
        work.append(lambda: traffic.kill_engines(KILL_SECONDS))
    return work


def summary(traffic: Traffic, lost: Sequence[str], held: int) -> dict[str, Any]:
    """The counts and times of a load."""
    tally, crops = traffic.service.tally, traffic.service.crops
    return {
        "requests": tally.requests,
        "failed": tally.failed,
        "mismatched": tally.mismatched,
        "lost": len(lost),
        "erased_returned": tally.erased_returned + held,
        "refused": tally.refused,
        "retried": tally.retried,
        "crops": len(crops.acknowledged),
        "erased": len(crops.erased),
        "replicas_killed": traffic.kills,
        "champion_moved": traffic.moves,
        "latencies": percentiles(tally.seconds, 50, 95, 99),
        "freshness": percentiles(crops.fresh_seconds, 50, 95),
        "stages": {
            f"{stage} {share}": seconds
            for stage, waited in crops.stages.items()
            for share, seconds in percentiles(waited, 50, 95).items()
        },
        "recoveries": {name: round(seconds, 1) for name, seconds in traffic.recoveries.items()},
    }


def say(what: str) -> None:
    """Show what is being done; standard output is for the result."""
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)


def percentiles(seconds: Sequence[float], *shares: int) -> dict[str, float]:
    """By name, in seconds."""
    return {f"p{share}": round(float(np.percentile(seconds, share)), 3) for share in shares} if seconds else {}


def report(result: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Print a table."""
    title = f"{options.clients} clients, {options.rate:g} crops/s, {options.seconds:g} s"
    table = Table("what", "number", title=title)
    for name, value in result.items():
        if isinstance(value, Mapping):
            for part, seconds in value.items():
                table.add_row(f"{name} {part}, s", f"{seconds:g}")
        else:
            table.add_row(name.replace("_", " "), str(value))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
