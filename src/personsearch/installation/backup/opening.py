"""What a backup is made of, and where a restored installation goes, by the settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from personsearch.errors import UserError
from personsearch.installation.backup.archive import KINDS, Archive, Kind
from personsearch.installation.service_records import is_running, read_records
from personsearch.installation.settings import Settings
from personsearch.integrations.objects.backups import open_backups

if TYPE_CHECKING:
    from personsearch.gallery.store import Gallery
    from personsearch.integrations.database.engine import Database
    from personsearch.integrations.milvus.store import MilvusStore
    from personsearch.integrations.objects.files import Files

SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Stores:
    """The engines of one installation, opened when they are needed."""

    settings: Settings

    def database(self) -> "Database":
        """The installation's database, whatever its schema."""
        from personsearch.integrations.database.engine import Database

        return Database(self.settings.database_address)

    def gallery(self) -> "Gallery":
        """Its gallery."""
        from personsearch.installation.platforms import open_gallery

        return open_gallery(self.settings)

    def vectors(self) -> "MilvusStore":
        """Its vector store."""
        from personsearch.installation.platforms import open_store

        return open_store(self.settings)

    def existing_vectors(self) -> "MilvusStore | None":
        """The same, None if it is a file that nobody has written yet."""
        from personsearch.installation.platforms import open_existing_store

        return open_existing_store(self.settings)

    def existing_mlflow(self) -> "Database | None":
        """MLflow's own database, None if it is the embedded one and nobody has used it yet."""
        from personsearch.integrations.mlflow.state import open_mlflow_database

        address = self.mlflow_address()
        file = Path(address.removeprefix(SQLITE))
        is_default = not self.settings.mlflow_database and not self.settings.mlflow_uri
        return None if is_default and not file.is_file() else open_mlflow_database(address)

    def mlflow_address(self) -> str:
        """The address of MLflow's own database.

        Raises:
            UserError: MLflow is a server elsewhere, and nobody has said which database it has.
        """
        named, server = self.settings.mlflow_database, self.settings.mlflow_uri
        if named:
            return named
        if server and not server.startswith(SQLITE):
            raise UserError(
                f"{server}: MLflow keeps its runs and models in a database and its files in a store: name both in "
                "PERSONSEARCH_MLFLOW_DATABASE and PERSONSEARCH_MLFLOW_ARTIFACTS, or leave mlflow out (--what)"
            )
        return server or f"{SQLITE}{self.settings.home / 'mlflow.db'}"

    def mlflow_files(self) -> "Files":
        """MLflow's files.

        Raises:
            UserError: MLflow's database is a server's, and nobody has said where its files are.
        """
        from personsearch.integrations.objects.files import open_files

        database = self.mlflow_address()
        if self.settings.mlflow_artifacts:
            return open_files(self.settings.mlflow_artifacts)
        if not database.startswith(SQLITE):
            raise UserError(
                "PERSONSEARCH_MLFLOW_ARTIFACTS: not set; the folder or s3://BUCKET/PREFIX of MLflow's files expected"
            )
        return open_files(str(Path(database.removeprefix(SQLITE)).parent / "mlflow-artifacts"))


def open_archive(address: str) -> Archive:
    """The backups at an address.

    Raises:
        UserError: it names neither a folder nor `s3://BUCKET/PREFIX`.
    """
    return Archive(open_backups(address))


def kinds_of(text: str | None) -> tuple[Kind, ...]:
    """What to back up or restore, by names separated by commas; everything if there are none.

    Raises:
        UserError: a name is none of them.
    """
    if text is None:
        return KINDS
    named = [name.strip() for name in text.split(",")]
    if unknown := [name for name in named if name not in KINDS]:
        raise UserError(f"--what {unknown[0]!r}: {', '.join(KINDS)} expected, separated by commas")
    return tuple(kind for kind in KINDS if kind in named)


def refuse_running_services(settings: Settings) -> None:
    """Refuse to restore while services of this machine use the installation.

    Raises:
        UserError: some do.
    """
    if running := [name for name, record in read_records(settings.home).items() if is_running(record)]:
        raise UserError(f"{', '.join(running)} of {settings.home} would write meanwhile; run `personsearch down` first")
