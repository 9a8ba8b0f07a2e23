"""Opens the registry and the vector store that an installation's settings name."""

from pathlib import Path
from typing import TYPE_CHECKING

from personsearch.errors import UserError
from personsearch.gallery.store import DATABASE, Gallery
from personsearch.installation.service_records import installation_id, is_running, read_records
from personsearch.installation.settings import Settings
from personsearch.integrations.mlflow.registry import ModelRegistry

if TYPE_CHECKING:
    from personsearch.installation.move import Moved
    from personsearch.integrations.database.cameras import DatabaseCameras
    from personsearch.integrations.milvus.store import MilvusStore

SQLITE = "sqlite:///"


def open_registry(settings: Settings) -> ModelRegistry:
    """The model registry; nothing is contacted until it is used.

    Raises:
        UserError: this installation's MLflow server has ended.
    """
    return ModelRegistry(settings.mlflow_address, settings.model_name, cache=settings.home / "models")


def open_existing_registry(settings: Settings) -> ModelRegistry | None:
    """The model registry, None if it is a database in a file that nobody has made yet.

    Raises:
        UserError: as `open_registry`; PERSONSEARCH_MLFLOW_URI names a file that is not there.
    """
    absent = _absent_file(settings.mlflow_address)
    if absent is not None and settings.mlflow_uri:
        raise UserError(f"{absent}: no such database; PERSONSEARCH_MLFLOW_URI names it")
    return None if absent is not None else open_registry(settings)


def open_store(settings: Settings) -> "MilvusStore":
    """The vector store.

    Raises:
        UserError: it does not answer, or belongs to another installation.
    """
    from personsearch.integrations.milvus.server import installation_token
    from personsearch.integrations.milvus.store import MilvusStore

    token, address = settings.milvus_token.get_secret_value(), settings.milvus_address
    if not token and not settings.milvus_uri:
        token = installation_token(installation_id(settings.home))
    return MilvusStore(address, token, options=settings.milvus_options)


def open_existing_store(settings: Settings) -> "MilvusStore | None":
    """The vector store, None if it is a Milvus Lite file that nobody has written yet.

    Raises:
        UserError: it does not answer.
    """
    from personsearch.integrations.milvus.connection import is_local

    address = settings.milvus_address
    return None if is_local(address) and not Path(address).exists() else open_store(settings)


def open_gallery(settings: Settings, folder: Path | None = None) -> Gallery:
    """The installation's gallery; another `folder` is one whose rows are in the folder itself.

    Raises:
        UserError: the folder or the database cannot be used.
    """
    from personsearch.integrations.database.gallery import gallery_in

    if folder is None or _is_own(settings, folder):
        return gallery_in(settings.gallery_folder, settings.database_address, settings.crops_address)
    return gallery_in(folder)


def open_cameras(settings: Settings) -> "DatabaseCameras":
    """What people say of the installation's cameras.

    Raises:
        UserError: the database cannot be used.
    """
    from personsearch.integrations.database.cameras import DatabaseCameras
    from personsearch.integrations.database.schema import open_database

    return DatabaseCameras(open_database(settings.database_address))


def move_installation(settings: Settings, *, to_database: str | None, to_crops: str | None) -> "Moved":
    """Move the state of an installation; an address that is not given stays the one of the settings.

    Raises:
        UserError: there is nothing to move, services of it run, an address cannot be used, or the target holds
            something else (see `move`).
    """
    from personsearch.installation.move import State, move
    from personsearch.integrations.database.engine import Database
    from personsearch.integrations.database.schema import migrate, open_database, schema_revision
    from personsearch.integrations.objects.open import open_pictures

    if not to_database and not to_crops:
        raise UserError("move: --to-database, --to-crops or both expected")
    if running := [name for name, record in read_records(settings.home).items() if is_running(record)]:
        raise UserError(f"{', '.join(running)} of {settings.home} would write meanwhile; run `personsearch down` first")
    gallery = open_existing_gallery(settings)
    if gallery is None:
        raise UserError(f"{settings.gallery_folder}: no gallery; there is nothing to move")
    if to_database and not (database := Database(to_database)).file and schema_revision(database) is None:
        migrate(database)
    carry_earlier_files(settings)
    source = State(open_database(settings.database_address), gallery.pictures)
    target = State(
        open_database(to_database) if to_database else source.database,
        open_pictures(to_crops) if to_crops else source.pictures,
    )
    return move(gallery, source, target)


def carry_earlier_files(settings: Settings) -> int:
    """Move what files of an earlier version hold into the database: API keys, what promoters remember, the audit log.
    Returns the records of that log.

    Raises:
        UserError: the database cannot be used, or a file is damaged.
    """
    from personsearch.installation.api_keys import open_keys
    from personsearch.installation.audit.opening import carry_earlier_log
    from personsearch.installation.promoter_memory import open_memory

    open_keys(settings)
    open_memory(settings)
    return carry_earlier_log(settings)


def open_existing_gallery(settings: Settings, folder: Path | None = None) -> Gallery | None:
    """The same, None where nobody has made it yet; opening would make it.

    Raises:
        UserError: as `open_gallery`; PERSONSEARCH_DATABASE names a file that is not there.
    """
    if folder is not None and not _is_own(settings, folder):
        return open_gallery(settings, folder) if (folder / DATABASE).is_file() else None
    return open_gallery(settings) if database_exists(settings) else None


def database_exists(settings: Settings) -> bool:
    """Whether the installation's database was made; a server's is taken to be.

    Raises:
        UserError: PERSONSEARCH_DATABASE names a file that is not there.
    """
    absent = _absent_file(settings.database_address)
    if absent is not None and settings.database:
        raise UserError(f"{absent}: no such database; PERSONSEARCH_DATABASE names it")
    return absent is None


def _absent_file(address: str) -> Path | None:
    """The file of an embedded database, if it is not there.

    Raises:
        UserError: a folder above it is a file.
    """
    file = Path(address.removeprefix(SQLITE))
    if not address.startswith(SQLITE) or file.is_file():
        return None
    nearest = next(folder for folder in file.absolute().parents if folder.exists())
    if not nearest.is_dir():
        raise UserError(f"{nearest}: a folder expected, found a file")
    return file


def _is_own(settings: Settings, folder: Path) -> bool:
    return folder.resolve() == settings.gallery_folder.resolve()


class Platforms:
    """The registry, the vector store and the gallery for a process that runs for long: where one of the first two gets
    another address, it is opened again, and what answers at the old address is not asked any more.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry: tuple[str, ModelRegistry] | None = None
        self._store: tuple[str, MilvusStore] | None = None
        self._gallery: Gallery | None = None

    def gallery(self) -> Gallery:
        """Raises UserError as `open_gallery`."""
        if self._gallery is None:
            self._gallery = open_gallery(self._settings)
        return self._gallery

    def registry(self) -> ModelRegistry:
        """Raises UserError as `open_registry`."""
        address = self._settings.mlflow_address
        if self._registry is None or self._registry[0] != address:
            self._registry = address, open_registry(self._settings)
        return self._registry[1]

    def store(self) -> "MilvusStore":
        """Raises UserError as `open_store`."""
        address = self._settings.milvus_address
        if self._store is None or self._store[0] != address:
            self._store = address, open_store(self._settings)
        return self._store[1]

    def forget_store(self) -> None:
        """Open the store again at the next use, because it failed."""
        self._store = None

    def release(self) -> None:
        """Close a Milvus Lite file, so that other processes can open it; a server's connection stays."""
        from personsearch.integrations.milvus.connection import is_local

        if self._store is not None and is_local(self._store[0]):
            self._store[1].close()
            self._store = None
