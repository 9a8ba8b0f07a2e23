"""What a gallery of a given size needs, worked out from rates: each is one number that can be replaced.

Bytes of a vector by index, for D numbers (docs/scale.md says where each rate comes from):

    FLAT     4 D          scanned
    HNSW     4 D + 8 M    vectors, and 2 M links of four bytes in the lowest layer of the graph
    IVF_SQ8  D            one byte a number; the floats stay on disk
    BIN      D/8 + 4/3 D  bits, and byte codes in base64
"""

import math
from dataclasses import dataclass, fields, replace

GIB = 2**30
INDEXES = ("FLAT", "HNSW", "IVF_SQ8", "BIN")


@dataclass(frozen=True)
class Rates:
    """What a plan is worked out from. Measured ones are those of the machine that docs/scale.md names."""

    numbers: float = 512
    """Numbers of a vector."""

    graph_degree: float = 16
    """M of HNSW."""

    row_bytes: float = 900
    """Of a crop in PostgreSQL, its indexes included."""

    picture_bytes: float = 10_000
    """Of a picture in the store. Assumed."""

    scalar_bytes: float = 450
    """Of a crop in a Milvus node beside its vector: texts, times, ids, the index of keys. Assumed."""

    collections: float = 2
    """Loaded at the same time: the live one and the previous one, which erasures reach too."""

    replicas: float = 2
    """Copies of each collection in Milvus' memory."""

    node_gib: float = 64
    """Memory of a Milvus node."""

    node_share: float = 0.7
    """Of it that vectors may fill."""

    row_rate: float = 1300
    """Rows a second into PostgreSQL, one writer."""

    insert_rate: float = 3000
    """Vectors a second into Milvus, one writer."""

    encoder_rate: float = 1000
    """Crops a second that one encoder turns into vectors. Assumed: ViT-B/16 on a data centre's GPU."""

    encoders: float = 1
    """That work on a build at the same time."""

    index_ratio: float = 0.9
    """Of the bare encoder's rate that a build reaches."""

    price_object: float = 0.023
    """Of a GB in the object store for a month. Assumed, as all prices, in one currency."""

    price_database: float = 0.12
    """Of a GB on the database's disk for a month."""

    price_memory: float = 3.0
    """Of a GiB of a node's memory, with its share of cores, for a month."""

    price_encoder: float = 2.0
    """Of an encoder for an hour."""

    def with_values(self, given: list[str]) -> "Rates":
        """These rates with others in the form `name=value`.

        Raises:
            ValueError: no such rate, or no positive number.
        """
        known = {field.name for field in fields(self)}
        values = {}
        for text in given:
            name, _, value = text.partition("=")
            if name not in known or not value:
                raise ValueError(f"{text!r}: NAME=NUMBER expected, with one of {', '.join(sorted(known))}")
            values[name] = float(value)
            if not values[name] > 0:
                raise ValueError(f"{text!r}: a number above 0 expected")
        return replace(self, **values)


@dataclass(frozen=True)
class Plan:
    """A size and what it needs."""

    crops: float
    database_gb: float
    object_gb: float
    milvus_gib: dict[str, float]
    nodes: dict[str, int]
    row_hours: float
    insert_hours: float
    encode_hours: float
    index_hours: float
    storage_price: dict[str, float]
    index_price: float


def vector_bytes(index: str, rates: Rates) -> float:
    """Bytes of one vector in a Milvus node's memory."""
    numbers, degree = rates.numbers, rates.graph_degree
    by_index = {
        "FLAT": 4 * numbers,
        "HNSW": 4 * numbers + 8 * degree,
        "IVF_SQ8": numbers,
        "BIN": numbers / 8 + 4 / 3 * numbers,
    }
    return by_index[index]


def plan(crops: float, rates: Rates) -> Plan:
    """What `crops` need; a build takes as long as the slower of encoding and writing."""
    database, objects = crops * rates.row_bytes / 1e9, crops * rates.picture_bytes / 1e9
    copies = rates.collections * rates.replicas
    memory = {index: crops * copies * (vector_bytes(index, rates) + rates.scalar_bytes) / GIB for index in INDEXES}
    encode = crops / (rates.encoder_rate * rates.index_ratio * rates.encoders) / 3600
    insert = crops / rates.insert_rate / 3600
    monthly = objects * rates.price_object + database * rates.price_database
    return Plan(
        crops=crops,
        database_gb=database,
        object_gb=objects,
        milvus_gib=memory,
        nodes={index: max(1, math.ceil(gib / (rates.node_gib * rates.node_share))) for index, gib in memory.items()},
        row_hours=crops / rates.row_rate / 3600,
        insert_hours=insert,
        encode_hours=encode,
        index_hours=max(encode, insert),
        storage_price={index: (monthly + gib * rates.price_memory) / crops * 1e6 for index, gib in memory.items()},
        index_price=max(encode, insert) * rates.encoders * rates.price_encoder / crops * 1e6,
    )


def plan_rows(plans: list[Plan]) -> list[tuple[str, list[str]]]:
    """The table's rows: what, and its value for each plan."""
    rows = [
        ("database, GB", [_short(each.database_gb) for each in plans]),
        ("pictures, GB", [_short(each.object_gb) for each in plans]),
    ]
    for index in INDEXES:
        rows.append((f"Milvus {index}, GiB", [_short(each.milvus_gib[index]) for each in plans]))
        rows.append((f"Milvus {index}, nodes", [f"{each.nodes[index]:,}" for each in plans]))
    rows += [
        ("rows into the database, hours", [_short(each.row_hours) for each in plans]),
        ("encode, hours", [_short(each.encode_hours) for each in plans]),
        ("write vectors, hours", [_short(each.insert_hours) for each in plans]),
        ("index again, hours", [_short(each.index_hours) for each in plans]),
        ("index again, price of a million", [_short(each.index_price) for each in plans]),
    ]
    rows += [
        (f"a month of a million, {index}", [_short(each.storage_price[index]) for each in plans]) for index in INDEXES
    ]
    return rows


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
