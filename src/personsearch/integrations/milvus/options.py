"""What Milvus is told of a collection: its index, the parameters of a search, and how many copies it loads.

Partitions by camera are not among it: with a partition key Milvus 2.3.5 loses crops (docs/vectors.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from personsearch.errors import UserError

IndexType = Literal["AUTO", "FLAT", "HNSW", "AUTOINDEX"]
GRAPH_FROM = 100_000  # crops from which AUTO makes a graph
LEAST_CANDIDATES = 512  # of a graph: with 88, it misses an eighth of the best where a filter passes half the crops
_BUILD: dict[str, dict[str, int]] = {"HNSW": {"M": 16, "efConstruction": 200}}


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """`build` and `search` replace parameters of the index."""

    index_type: IndexType = "AUTO"
    build: Mapping[str, int] = field(default_factory=dict)
    search: Mapping[str, int] = field(default_factory=dict)
    replicas: int = 1
    resource_groups: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.index_type not in get_args(IndexType):
            raise ValueError(f"index type {self.index_type!r}; one of {', '.join(get_args(IndexType))} expected")

    def index_parameters(self, crops: int, *, is_lite: bool) -> dict[str, Any]:
        """Of float vectors, in a collection that is made for so many crops."""
        index_type = self.index_type
        if index_type == "AUTO":
            index_type = "HNSW" if crops > GRAPH_FROM and not is_lite else "FLAT"
        params = {} if index_type == "FLAT" else {**_BUILD.get(index_type, {}), **self.build}
        return {"index_type": index_type, "metric_type": "COSINE", "params": params}

    def search_parameters(self, limit: int) -> dict[str, Any]:
        """Of float vectors, for so many results; an index that is scanned ignores them."""
        # an engine refuses fewer candidates than results
        ef = max(self.search.get("ef", max(LEAST_CANDIDATES, 2 * limit)), limit)
        return {"metric_type": "COSINE", "params": {**self.search, "ef": ef}}

    def refuse_graph(self, vectors: str) -> None:
        """Raise UserError if small vectors are to have an index that they do not have."""
        if self.index_type not in ("AUTO", "FLAT"):
            raise UserError(
                f"{vectors} vectors are scanned: PERSONSEARCH_MILVUS_INDEX=FLAT expected, not {self.index_type}"
            )

    def loading(self) -> dict[str, Any]:
        """How a collection is loaded, where that is not as usual."""
        groups = {"resource_groups": list(self.resource_groups)} if self.resource_groups else {}
        return groups | ({"replica_number": self.replicas} if self.replicas > 1 else {})
