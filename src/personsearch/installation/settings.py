"""Addresses and folders of an installation: flags, then environment (`PERSONSEARCH_…`), then what
`personsearch up` has started, then these defaults.
"""

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from personsearch.addresses import is_address
from personsearch.config import problems
from personsearch.errors import UserError
from personsearch.gallery.store import DATABASE
from personsearch.installation.service_records import running_address
from personsearch.integrations.milvus.options import CollectionOptions, IndexType
from personsearch.search.time_of_day import checked_zone

LONGEST_SECONDS = 10_000_000.0  # more than a thread can wait for would end it


class Settings(BaseSettings):
    """Embedded defaults on one machine; each address may name a distributed engine instead."""

    # An empty variable counts as unset; as a path it would mean the current directory.
    model_config = SettingsConfigDict(
        env_prefix="PERSONSEARCH_", env_ignore_empty=True, frozen=True, allow_inf_nan=False
    )

    home: Path = Path("var")
    """Folder of everything that an installation keeps: databases, keys, logs, the gallery."""

    gallery: Path | None = None
    """Folder of crops and their database, unless these are elsewhere; `<home>/gallery` when unset."""

    crops: str | None = None
    """Where pictures of crops are kept: a folder, or `s3://BUCKET/PREFIX` in any store that speaks S3; its endpoint and
    credentials are those of AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Unset: the
    gallery's folder.
    """

    footage: str | None = None
    """Where the video files that were ingested are kept, for whole frames around a candidate: a folder, or
    `s3://BUCKET/PREFIX` as for PERSONSEARCH_CROPS. A file lies in a folder named after its camera, or beside those of
    other cameras. Unset: `<home>/videos`; frames whose file is not there are refused.
    """

    database: str | None = None
    """Address of the database that holds the gallery's rows: `sqlite:///FILE` on one machine,
    `postgresql://USER:PASSWORD@HOST/DATABASE` for several. Unset: `gallery.db` in the gallery's folder.
    """

    milvus_uri: str | None = None
    """Address of a Milvus server, or a file for Milvus Lite. Unset: the server that `personsearch up` started, else
    `<home>/milvus.db`.
    """

    milvus_token: SecretStr = SecretStr("")
    """Token of the Milvus server, as `user:password` or an API key."""

    milvus_index: IndexType = "AUTO"
    """How a Milvus server searches a new collection of float vectors: FLAT compares with every crop, HNSW is a graph,
    AUTOINDEX is the server's choice, AUTO makes a graph for more than 100,000 crops (docs/vectors.md).
    """

    milvus_build: dict[str, int] = {}
    """Parameters of the index in JSON, instead of ours: `{"M": 32, "efConstruction": 400}` for HNSW."""

    milvus_search: dict[str, int] = {}
    """Parameters of a search in JSON, instead of ours: `{"ef": 1024}` looks at more candidates."""

    milvus_replicas: int = Field(default=1, ge=1)
    """Copies of a collection that a Milvus cluster loads, each on query nodes of its own."""

    milvus_resource_groups: tuple[str, ...] = ()
    """Milvus' resource groups that collections are loaded in, in JSON: `["search"]`."""

    mlflow_uri: str | None = None
    """Address of an MLflow server. Unset: the server that `personsearch up` started, else `<home>/mlflow.db`."""

    mlflow_database: str | None = None
    """Database that the MLflow server itself uses, for backups: `sqlite:///FILE` or
    `postgresql://USER:PASSWORD@HOST/DATABASE`. Unset: the one that `personsearch up` uses.
    """

    mlflow_artifacts: str | None = None
    """Where that MLflow keeps its files, for backups: a folder or `s3://BUCKET/PREFIX`. Unset: `mlflow-artifacts`
    beside the database.
    """

    audit_file: Path | None = None
    """Audit log of an earlier version, which is carried into the database; `<home>/audit.jsonl` if unset."""

    audit_anchor: str | None = None
    """A folder or `s3://BUCKET/PREFIX` that keeps heads of the audit log apart from its database, best where those who
    may write the database may not remove anything; `<home>/audit-heads` if unset.
    """

    index_stall_seconds: float = Field(default=600.0, gt=0, le=LONGEST_SECONDS)
    """The promoter ends an index build that has made no progress for so many seconds."""

    poll_seconds: float = Field(default=2.0, gt=0, le=3600)
    """Seconds between the promoter's looks at the alias `champion`. Where MLflow sends webhooks, a minute is enough."""

    webhook_secret: SecretStr = SecretStr("")
    """With which MLflow signs its webhooks, 16 characters or more; `personsearch webhook` hands it to MLflow, and the
    search service checks it.
    """

    metrics: str | None = None
    """Where `personsearch watch` and `personsearch promoter` answer Prometheus, as HOST:PORT; nowhere if unset. The
    search service has `/metrics`.
    """

    lease_seconds: float = Field(default=10.0, ge=0.5, le=3600)
    """A promoter that leads and does not renew its lease for so many seconds is replaced by one that stands by."""

    follower_parts: int = Field(default=1, ge=1, le=64)
    """Parts of the gallery, by the hash of crop ids, that the promoters of an installation share among them while they
    follow it, each part by a lease; with 1 the one that leads follows alone. The same number for all of them.
    """

    kubeflow_cluster: Path | None = None
    """YAML file over pipelines/cluster.yaml, with images and resources of the steps of the indexing pipeline, which the
    promoter runs where KF_PIPELINES_ENDPOINT is set.
    """

    kubeflow_namespace: str | None = None
    """Namespace in which the promoter runs that pipeline, on a cluster with several users."""

    model_name: str = "personsearch"
    """Name of the registered model in MLflow."""

    time_zone: str = "UTC"
    """Zone of the clocks at cameras that have none of their own (`personsearch cameras zone`), such as Europe/Vienna: a
    search may ask for a time of day.
    """

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        return checked_zone(name)

    @field_validator("home", "gallery", "audit_file")
    @classmethod
    def _is_folder(cls, path: Path | None) -> Path | None:
        if path is not None and is_address(str(path)):
            raise ValueError(f"{str(path)!r}: a path on this machine expected")
        return path

    @field_validator("milvus_uri")
    @classmethod
    def _is_server_or_file(cls, address: str | None) -> str | None:
        if address is not None and "://" not in address and not address.endswith(".db"):
            raise ValueError(f"{address!r}: http://HOST:PORT or a file whose name ends with .db expected")
        return address

    def __init__(self, **values: Any) -> None:
        """Raises UserError, which names the variable, where a value fails validation."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            wrong = problems(error, type(self))
            raise UserError("; ".join(f"PERSONSEARCH_{key.upper()}{text}" for key, text in wrong)) from error
        except SettingsError as error:  # of a variable in JSON, which is read before anything is validated
            field = str(error).partition('field "')[2].partition('"')[0]
            raise UserError(f"PERSONSEARCH_{field.upper()}: JSON expected") from error

    @property
    def gallery_folder(self) -> Path:
        return self.gallery or self.home / "gallery"

    @property
    def watch_folder(self) -> Path:
        return self.home / "watch"

    @property
    def database_address(self) -> str:
        return self.database or f"sqlite:///{self.gallery_folder / DATABASE}"

    @property
    def footage_address(self) -> str:
        return self.footage or str(self.home / "videos")

    @property
    def crops_address(self) -> str:
        return self.crops or str(self.gallery_folder)

    @property
    def audit_path(self) -> Path:
        return self.audit_file or self.home / "audit.jsonl"

    @property
    def audit_anchor_address(self) -> str:
        return self.audit_anchor or str(self.home / "audit-heads")

    @property
    def milvus_address(self) -> str:
        return self.milvus_uri or running_address(self.home, "milvus") or str(self.home / "milvus.db")

    @property
    def milvus_options(self) -> CollectionOptions:
        return CollectionOptions(
            self.milvus_index,
            self.milvus_build,
            self.milvus_search,
            self.milvus_replicas,
            self.milvus_resource_groups,
        )

    @property
    def mlflow_address(self) -> str:
        return self.mlflow_uri or running_address(self.home, "mlflow") or f"sqlite:///{self.home / 'mlflow.db'}"
