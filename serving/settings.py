"""What the service can be told: environment (`PERSONSEARCH_…`), then these defaults."""

from pathlib import Path

from pydantic import Field, SecretStr

from personsearch.settings import Settings


class ServingSettings(Settings):
    """An installation's settings, and those of the service alone."""

    api_keys: SecretStr = SecretStr("")
    allow_anonymous: bool = False
    audit_file: Path | None = None
    mirror: bool = True
    encoder_threads: int = Field(default=0, ge=0, description="0: as many as there are cores")
    watch_seconds: float = Field(default=2.0, gt=0)
    searches_per_minute: int = Field(default=240, ge=1, description="for each key")
    images_per_minute: int = Field(default=6000, ge=1, description="for each key")
    max_body_bytes: int = Field(default=65_536, ge=1024)

    @property
    def audit_path(self) -> Path:
        return self.audit_file or self.home / "audit.jsonl"
