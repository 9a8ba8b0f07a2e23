"""Settings of the service, read from the environment (`PERSONSEARCH_…`), then these defaults."""

from pydantic import Field, SecretStr, field_validator

from personsearch.installation.alerts.webhook import SHORTEST_SECRET
from personsearch.installation.settings import LONGEST_SECONDS, Settings


class ServingSettings(Settings):
    """Settings of the service, in addition to those of the installation."""

    api_keys: SecretStr = SecretStr("")
    """Accepted API keys, separated by commas, each of 16 characters or more, beside those that
    `personsearch keys create` made.
    """

    allow_anonymous: bool = False
    """Accept requests without a key. If this is off, the service does not start until a key exists."""

    mirror: bool = True
    """Copy the live collection into memory if that suffices, which makes searches faster and exact."""

    mirror_memory: int = Field(default=1024, ge=0)
    """MiB that this copy may take. 1024 hold about 360,000 crops of 512 numbers as float32, 720,000 as binary codes; a
    larger collection is searched in Milvus.
    """

    encoder_threads: int = Field(default=0, ge=0)
    """Threads that encode queries; 0 is one per core."""

    watch_seconds: float = Field(default=2.0, gt=0, le=LONGEST_SECONDS)
    """Seconds between looks for a new live collection."""

    searches_per_minute: int = Field(default=240, ge=1)
    """Searches per minute allowed to each key."""

    images_per_minute: int = Field(default=6000, ge=1)
    """Images per minute allowed to each key."""

    audit_anchor_seconds: float = Field(default=300.0, gt=0, le=LONGEST_SECONDS)
    """Seconds between copies of the audit log's head to `audit_anchor`."""

    max_body_bytes: int = Field(default=65_536, ge=1024)
    """Largest request body in bytes; a larger one is refused with status 413."""

    max_ingest_bytes: int = Field(default=8_388_608, ge=1024)
    """The same for crops that a camera sends, and for pictures to search for or to embed."""

    ingest_at_once: int = Field(default=8, ge=1)
    """Requests with crops or other large bodies that are read and answered at the same time; one more is told to wait,
    with status 429.
    """

    ingest_backlog: int = Field(default=20_000, ge=0)
    """Crops that may wait to be indexed; while there are more, a camera that sends some is told to wait, with 429."""

    alerts: bool = False
    """Let people watch searches: crops are compared with them as they arrive (docs/alerts.md). Off, nothing is compared
    and nothing can be watched; what was watched before stays stored.
    """

    alert_secret: SecretStr = SecretStr("")
    """With which webhooks of alerts are signed, 16 characters or more; without it no search may have a webhook."""

    alert_private_webhooks: bool = False
    """Let webhooks of alerts name addresses of this machine and of private networks, and plain HTTP."""

    alert_searches: int = Field(default=20, ge=1, le=1000)
    """Searches that the holder of each key may watch. Each costs a search whenever crops have arrived."""

    @field_validator("alert_secret")
    @classmethod
    def _is_long_enough(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"{len(secret.get_secret_value())} characters; at least {SHORTEST_SECRET} expected")
        return secret
