"""Settings of the service, read from the environment (`PERSONSEARCH_…`), then these defaults."""

from pathlib import Path

from pydantic import Field, SecretStr

from personsearch.installation.settings import Settings


class ServingSettings(Settings):
    """Settings of the service, on top of those of the installation."""

    api_keys: SecretStr = SecretStr("")
    """Accepted API keys, separated by commas, 16 characters or more each; added to those in `<home>/api_keys.json`."""

    allow_anonymous: bool = False
    """Let everybody in where there is no key at all. Without it the service refuses to start without a key."""

    audit_file: Path | None = None
    """The audit log; `<home>/audit.jsonl` when unset."""

    mirror: bool = True
    """Copy the live collection into memory where it is small enough, which makes a search faster and exact."""

    encoder_threads: int = Field(default=0, ge=0)
    """Threads that encode queries; 0 is one per core."""

    watch_seconds: float = Field(default=2.0, gt=0)
    """How often the service looks for a new live collection, in seconds."""

    searches_per_minute: int = Field(default=240, ge=1)
    """Searches that each key may make a minute."""

    images_per_minute: int = Field(default=6000, ge=1)
    """Images that each key may fetch a minute."""

    max_body_bytes: int = Field(default=65_536, ge=1024)
    """Largest request body in bytes; a larger one is refused with 413."""

    @property
    def audit_path(self) -> Path:
        return self.audit_file or self.home / "audit.jsonl"
