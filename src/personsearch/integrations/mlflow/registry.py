"""The model registry in MLflow: a version is a bundle folder, stored file by file without pickle, with its metrics."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from personsearch.bundle import CALIBRATION, MODEL_CARD, Bundle
from personsearch.errors import EngineFailed, UserError, with_advice
from personsearch.files import alone, hash_file, replacing_folder
from personsearch.integrations.mlflow import flavour
from personsearch.integrations.mlflow.connection import (
    ADVICE,
    connect,
    experiment_id,
    first_line,
    log_metrics,
    tracking_run,
)
from personsearch.integrations.mlflow.webhooks import EVENTS, SHORTEST_SECRET
from personsearch.run_record import git_commit

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

STORAGE_DRIVERS = ("boto3", "botocore")  # MLflow passes their errors on where artifacts lie in a bucket
CHALLENGER = "challenger"
CHAMPION = "champion"
MOST_WEBHOOKS = 1000
LONGEST_DESCRIPTION = 5000  # of a version, in MLflow's database
BESIDE_FINGERPRINT = ("pipeline_run", "calibration")  # tags by which versions of one fingerprint differ


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version of the model, as MLflow shows it."""

    version: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    source: str

    @property
    def fingerprint(self) -> str:
        return self.tags.get("fingerprint", "")


class ModelRegistry:
    """The versions of one model. `uri` is `sqlite:///…` or an MLflow server's address; nothing is opened until used."""

    def __init__(self, uri: str, model_name: str, *, cache: Path) -> None:
        self.uri = uri
        self.model_name = model_name
        self.cache = cache

    def register(self, bundle: Bundle, *, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
        """Store a bundle as a new version with the alias `challenger`; returns its number.

        Registering the same bundle with the same calibration from the same pipeline run again returns the same version,
        so a killed stage can simply be run again.
        """
        lineage = _lineage(bundle) | dict(tags)
        with self._readable_errors(f"register {bundle}"):
            version = self._find(lineage)
            if version is None:
                version = self._create(bundle, metrics, lineage)
            self._client.set_registered_model_alias(self.model_name, CHALLENGER, version)
        return version

    def promote(self, version: str) -> None:
        """Move the alias `champion` to a version, as a person does in MLflow's page.

        Raises:
            UserError: there is no such version, or serving cannot load it.
        """
        if self.version(version).tags.get("variant") == "torch":
            raise UserError(
                f"{self.uri}: version {version} of {self.model_name!r} holds torch weights only, serving needs ONNX; "
                "register what `personsearch compress` chose"
            )
        self.move(CHAMPION, version)

    def move(self, alias: str, version: str | None) -> None:
        """Move an alias to a version without a check, or remove it."""
        with self._readable_errors(f"move alias {alias!r}"):
            if version is None:
                self._client.delete_registered_model_alias(self.model_name, alias)
            else:
                self._client.set_registered_model_alias(self.model_name, alias, version)

    def champion(self) -> str | None:
        """The version that the alias `champion` names, None if there is none.

        Raises:
            UserError: there is none, but one that differs in capitals alone, as people type it in MLflow's page.
        """
        version = self.alias_version(CHAMPION)
        for alias, other in self._aliases().items() if version is None else ():
            if alias.lower() == CHAMPION:
                raise UserError(f"version {other} has the alias {alias!r}; {CHAMPION!r}, in small letters, expected")
        return version

    def alias_version(self, alias: str) -> str | None:
        """The version that an alias names, None if there is no such alias or model."""
        with self._readable_errors(f"resolve alias {alias!r}", absent=True):
            return str(self._client.get_model_version_by_alias(self.model_name, alias).version)
        return None

    def version(self, version: str) -> RegisteredVersion:
        """Read one version's number, metrics and tags.

        Raises:
            UserError: there is no such version.
        """
        if version.isdecimal():
            with self._readable_errors(f"read version {version}", absent=True):
                return _registered(self._client.get_model_version(self.model_name, version))
        raise UserError(f"{self.uri}: model {self.model_name!r} has no version {version!r}")

    def versions(self) -> list[RegisteredVersion]:
        """Every version, newest first."""
        with self._readable_errors("list versions"):
            found = self._client.search_model_versions(f"name='{self.model_name}'")
            aliases: dict[str, list[str]] = {}
            for alias, number in self._aliases().items():
                aliases.setdefault(number, []).append(alias)
            versions = [_registered(version, aliases.get(str(version.version), [])) for version in found]
        return sorted(versions, key=lambda version: -int(version.version))

    def tag(self, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        with self._readable_errors(f"tag version {version}"):
            self._client.set_model_version_tag(self.model_name, version, key, value)

    def subscribe(self, address: str, secret: str) -> str:
        """Let the server send signed webhooks on moved aliases; returns what the address answered to a first one.

        Raises:
            UserError: the registry is no server, the secret is short, or the server may not send there.
        """
        if not self.uri.startswith(("http://", "https://")):
            raise UserError(f"{self.uri}: only an MLflow server sends webhooks; the promoter polls a database")
        if len(secret) < SHORTEST_SECRET:
            raise UserError(
                f"PERSONSEARCH_WEBHOOK_SECRET: {SHORTEST_SECRET} characters or more expected; "
                "`openssl rand -hex 32` makes one"
            )
        with self._readable_errors(f"send webhooks to {address}"):
            known = {hook.url: hook.webhook_id for hook in self._client.list_webhooks(max_results=MOST_WEBHOOKS)}
            if address in known:
                hook = self._client.update_webhook(known[address], events=[*EVENTS], secret=secret, status="ACTIVE")
            else:
                hook = self._client.create_webhook(self._webhook_name(address), address, [*EVENTS], secret=secret)
            tried = self._client.test_webhook(hook.webhook_id)
        return str(tried.response_status or tried.error_message)

    def fetch(self, version: str, fingerprint: str) -> Bundle:
        """The bundle with this fingerprint; if it is cached, no server is needed.

        Raises:
            UserError: the registry's bundle has another fingerprint, or there is no such version.
        """
        folder = self._folder(version, fingerprint)
        bundle = _opened(folder, fingerprint)
        if bundle is None:
            with alone(folder.with_name(f".{folder.name}.lock")):  # another process may be downloading it
                bundle = _opened(folder, fingerprint)
                if bundle is None:
                    self._download(self.version(version).source, folder)
                    bundle = _opened(folder, fingerprint)
        if bundle is None:
            raise UserError(
                f"{self.uri}: version {version} of {self.model_name!r} does not have fingerprint {fingerprint!r}"
            )
        return bundle

    def cached(self, version: str, fingerprint: str) -> Bundle | None:
        """The bundle with this fingerprint if it was fetched before; nothing is contacted."""
        return _opened(self._folder(version, fingerprint), fingerprint)

    def _folder(self, version: str, fingerprint: str) -> Path:
        return self.cache / self.model_name / f"v{version}-{fingerprint}"

    @cached_property
    def _client(self) -> "MlflowClient":
        return connect(self.uri)

    def _webhook_name(self, address: str) -> str:
        """A name of its own: MLflow takes no spaces in one, and the model's may have some."""
        return f"personsearch-{hashlib.sha256(f'{self.model_name} {address}'.encode()).hexdigest()[:12]}"

    def _aliases(self) -> dict[str, str]:
        with self._readable_errors("list aliases", absent=True):
            aliases = self._client.get_registered_model(self.model_name).aliases
            return {alias: str(version) for alias, version in aliases.items()}
        return {}

    def _find(self, lineage: Mapping[str, str]) -> str | None:
        named = f"name='{self.model_name}' and tags.fingerprint='{lineage['fingerprint']}'"
        found = self._client.search_model_versions(named)
        same = (each for each in found if all(each.tags.get(name, "") == lineage[name] for name in BESIDE_FINGERPRINT))
        return next((str(version.version) for version in same), None)

    def _create(self, bundle: Bundle, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
        client, experiment = self._client, experiment_id(self._client, self.uri)
        with tracking_run(client, experiment, f"register {tags['method']}", tags) as run_id:
            model = client.create_logged_model(
                experiment, self.model_name, run_id, dict(tags), _parameters(bundle), "personsearch-bundle"
            )
            client.log_model_artifacts(model.model_id, str(bundle.folder))
            with TemporaryDirectory() as folder:
                flavour.write_flavour(Path(folder), bundle, model_id=model.model_id, run_id=run_id)
                client.log_model_artifacts(model.model_id, folder)
            client.finalize_logged_model(model.model_id, "READY")
            log_metrics(client, run_id, metrics, model_id=model.model_id)
        self._ensure_model()
        source = f"models:/{model.model_id}"
        created = client.create_model_version(
            self.model_name, source, run_id, dict(tags), description=_description(bundle), model_id=model.model_id
        )
        return str(created.version)

    def _ensure_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _download(self, source: str, folder: Path) -> None:
        from mlflow.artifacts import download_artifacts

        with replacing_folder(folder) as partial, self._readable_errors(f"download {source}"):
            download_artifacts(artifact_uri=source, dst_path=str(partial), tracking_uri=self._client.tracking_uri)
            for name in (*flavour.FILES, flavour.ADDED_BY_MLFLOW):  # MLflow's, not the bundle's
                (partial / name).unlink(missing_ok=True)

    @contextmanager
    def _readable_errors(self, action: str, *, absent: bool = False) -> Iterator[None]:
        """Turn MLflow's errors into one line; with `absent`, something missing is not an error."""
        client = self._client
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            # For a missing alias a database reports an invalid parameter, a server a missing resource.
            if not (absent and error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")):
                reason = with_advice(first_line(error), ADVICE)
                raise EngineFailed("registry", f"{self.uri}: cannot {action}: {reason}") from error
            logger.debug("%s: %s: nothing there (%s)", client.tracking_uri, action, error.error_code)
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in STORAGE_DRIVERS:
                raise
            raise EngineFailed(
                "registry", f"{self.uri}: cannot {action}: its store of artifacts: {first_line(error)}"
            ) from error


def _description(bundle: Bundle) -> str | None:
    """The model card, as far as MLflow keeps it."""
    card = bundle.path(MODEL_CARD)
    if not card.is_file():
        return None
    text = card.read_text(encoding="utf-8")
    if len(text) <= LONGEST_DESCRIPTION:
        return text
    end = f"\n\n… the rest is in {MODEL_CARD} among the artifacts."
    return text[: LONGEST_DESCRIPTION - len(end)] + end


def _lineage(bundle: Bundle) -> dict[str, str]:
    spec, calibration = bundle.spec, bundle.folder / CALIBRATION
    return {
        "validation_status": "pending",
        "fingerprint": bundle.fingerprint,
        "method": spec.method,
        "variant": spec.variant,
        "runtime": "" if spec.variant == "torch" else spec.runtime,
        "dataset_hash": spec.lineage.dataset_hash,
        "git_commit": spec.lineage.git_commit or git_commit(),
        "pipeline_run": spec.lineage.run_id,
        "calibration": hash_file(calibration) if calibration.is_file() else "",
    }


def _parameters(bundle: Bundle) -> dict[str, str]:
    spec = bundle.spec
    size = f"{spec.preprocessing.height}x{spec.preprocessing.width}"
    parameters = {"method": spec.method, "variant": spec.variant, "image_size": size}
    return parameters | {"embedding_dim": str(spec.embedding_dim), "context_length": str(spec.context_length)}


def _registered(version: Any, aliases: list[str] | None = None) -> RegisteredVersion:
    named = version.aliases if aliases is None else aliases
    return RegisteredVersion(str(version.version), tuple(sorted(named)), dict(version.tags), version.source)


def _opened(folder: Path, fingerprint: str) -> Bundle | None:
    """The bundle in a folder if it has this fingerprint."""
    try:
        bundle = Bundle.open(folder)
    except UserError:
        return None
    return bundle if bundle.fingerprint == fingerprint else None
