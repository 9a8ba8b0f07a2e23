"""Collections in Milvus: Milvus Lite (a path), Lite's server mode, or a Milvus server (an address)."""

from pymilvus import CollectionSchema

from personsearch.errors import UserError
from personsearch.integrations.milvus.connection import connect, is_local, readable_errors
from personsearch.integrations.milvus.index import MilvusIndex
from personsearch.integrations.milvus.options import CollectionOptions
from personsearch.integrations.milvus.rows import CROP_FIELDS, collection_schema, read_properties, stored_properties
from personsearch.integrations.milvus.vectors import VECTOR, layout_of
from personsearch.search.index import CollectionProperties

# A client sees its own writes at once and others' within a second; "Strong" costs a server 200–400 ms a search.
SEARCH_CONSISTENCY = "Session"
DEFAULTS = CollectionOptions()


class MilvusStore:
    """A CollectionStore in Milvus. `uri` is the path of a Milvus Lite database (`….db`) or a server's address."""

    def __init__(self, uri: str, token: str = "", *, options: CollectionOptions = DEFAULTS) -> None:
        self.uri = uri
        self.options = options
        self._client = connect(uri, token)
        self._is_lite = str(self._client.get_server_version()).startswith("milvus_lite")

    def create(self, name: str, properties: CollectionProperties, *, crops: int = 0) -> MilvusIndex:
        """Create an empty collection with its vector index, loaded and ready for reading and writing."""
        layout = layout_of(properties, self.options, is_lite=self._is_lite)
        schema = collection_schema()
        layout.add_fields(schema)
        with readable_errors(self.uri, f"create collection {name!r}"):
            if self._client.has_collection(name):
                raise UserError(f"{self.uri}: collection or alias {name!r} already exists")
            parameters = self._client.prepare_index_params()
            parameters.add_index(VECTOR, **layout.index_parameters(crops))
            self._client.create_collection(
                name,
                schema=schema,
                properties=stored_properties(properties) | layout.properties | self._described(schema),
                consistency_level=SEARCH_CONSISTENCY,
            )
            self._client.create_index(name, parameters, sync=False)  # nothing to build yet; it would wait .5 s
            self._client.load_collection(name, **self.options.loading())
        return self._index(name, properties)

    def open(self, name_or_alias: str) -> MilvusIndex:
        """The collection of that name, or the one that an alias names at this moment."""
        name, properties = self._describe(name_or_alias)
        with readable_errors(self.uri, f"load collection {name!r}"):
            self._client.load_collection(name, **self.options.loading())
        return self._index(name, properties)

    def properties(self, name_or_alias: str) -> CollectionProperties:
        return self._describe(name_or_alias)[1]

    @property
    def server_version(self) -> str:
        """What the engine says of itself."""
        with readable_errors(self.uri, "say its version"):
            return str(self._client.get_server_version())

    def is_loaded(self, name: str) -> bool:
        """Whether a collection can be searched without loading it first; a file of Milvus Lite is read by us alone."""
        if is_local(self.uri):
            return True
        with readable_errors(self.uri, f"say whether {name!r} is loaded"):
            return str(self._client.get_load_state(name)["state"]).endswith("Loaded")

    def missing_fields(self, name: str) -> list[str]:
        """The fields that this version reads and a collection does not have."""
        with readable_errors(self.uri, f"describe collection {name!r}"):
            held = {field["name"] for field in self._client.describe_collection(name)["fields"]}
        layout = layout_of(self.properties(name), self.options, is_lite=self._is_lite)
        return sorted({*CROP_FIELDS, VECTOR, *layout.vector_fields} - held)

    def names(self) -> list[str]:
        with readable_errors(self.uri, "list collections"):
            return sorted(self._client.list_collections())

    def alias_target(self, alias: str) -> str | None:
        with readable_errors(self.uri, f"resolve alias {alias!r}"):
            if not self._client.has_collection(alias):
                return None
            name = str(self._client.describe_collection(alias)["collection_name"])
        return None if name == alias else name

    def switch_alias(self, alias: str, name: str) -> None:
        if name not in self.names():
            raise UserError(f"{self.uri}: collection {name!r} does not exist")
        if alias in self.names():
            raise UserError(f"{self.uri}: alias {alias!r}: a collection has this name")
        with readable_errors(self.uri, f"switch alias {alias!r}"):
            if self.alias_target(alias) is None:
                self._client.create_alias(name, alias)
            else:
                self._client.alter_alias(name, alias)

    def drop(self, name: str) -> None:
        if name not in self.names():
            raise UserError(f"{self.uri}: collection {name!r} does not exist")
        with readable_errors(self.uri, f"drop collection {name!r}"):
            if aliases := self._aliases(name):
                raise UserError(f"{self.uri}: collection {name!r} is in use by alias {', '.join(aliases)}")
            self._client.drop_collection(name)

    @property
    def purges_by_copying(self) -> bool:
        return self._is_lite

    def purge(self, name: str, *, spare: str) -> str:
        """A server drops the rows with its next garbage collection; Lite keeps them as long as the collection."""
        if not self._is_lite:
            with readable_errors(self.uri, f"compact {name!r}"):
                self._client.compact(name)
            return name
        copy = self.create(spare, self.properties(name))
        for crops, vectors_ND in self.open(name).iterate():
            copy.upsert(crops, vectors_ND)
        copy.flush()
        for alias in self._aliases(name):
            self.switch_alias(alias, spare)
        self.drop(name)
        return spare

    def close(self) -> None:
        """Disconnect; a Lite database is free for another process afterwards."""
        self._client.close()
        if is_local(self.uri):
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self.uri)

    def _described(self, schema: CollectionSchema) -> dict[str, str]:
        """The fields' descriptions as properties, for Milvus Lite, which does not keep them in its schema."""
        return {f"field.{field.name}": field.description for field in schema.fields} if self._is_lite else {}

    def _aliases(self, name: str) -> list[str]:
        with readable_errors(self.uri, f"list the aliases of {name!r}"):
            return list(self._client.list_aliases(name)["aliases"])

    def _index(self, name: str, properties: CollectionProperties) -> MilvusIndex:
        layout = layout_of(properties, self.options, is_lite=self._is_lite)
        return MilvusIndex(self._client, self.uri, name, properties.embedding_dim, layout, is_lite=self._is_lite)

    def _describe(self, name_or_alias: str) -> tuple[str, CollectionProperties]:
        with readable_errors(self.uri, f"describe collection {name_or_alias!r}"):
            if not self._client.has_collection(name_or_alias):
                raise UserError(f"{self.uri}: collection or alias {name_or_alias!r} does not exist")
            description = self._client.describe_collection(name_or_alias)
        try:
            properties = read_properties(description.get("properties") or {})
        except UserError as error:
            raise UserError(f"{self.uri}: collection {name_or_alias!r}: {error}") from error
        if properties is None:
            raise UserError(f"{self.uri}: collection {name_or_alias!r} does not say which model made its vectors")
        return str(description["collection_name"]), properties
