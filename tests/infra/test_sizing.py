"""The arithmetic of `benchmarks/scale.py --plan`, by hand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from support.sizing import Rates, plan, plan_rows, vector_bytes

HAND = Rates(
    numbers=512, graph_degree=16, row_bytes=1000, picture_bytes=10_000, scalar_bytes=512, collections=2, replicas=2
)


@pytest.mark.parametrize(("index", "expected"), [("FLAT", 2048), ("HNSW", 2176), ("IVF_SQ8", 512), ("BIN", 746.67)])
def test_bytes_of_a_vector(index: str, expected: float) -> None:
    assert vector_bytes(index, HAND) == pytest.approx(expected, abs=0.01)


def test_storage_grows_with_crops_and_copies() -> None:
    ten_million = plan(1e7, HAND)
    assert (ten_million.database_gb, ten_million.object_gb) == (10, 100)
    assert ten_million.milvus_gib["FLAT"] == pytest.approx(1e7 * 4 * 2560 / 2**30)
    assert ten_million.nodes["FLAT"] == 3  # 95 GiB, 44.8 a node
    assert plan(1e7, Rates(**{**vars(HAND), "replicas": 4})).nodes["FLAT"] == 5


def test_a_build_is_as_slow_as_its_slower_half() -> None:
    rates = Rates(encoder_rate=1000, index_ratio=0.9, insert_rate=3000, encoders=1, price_encoder=2)
    one = plan(9e6, rates)
    assert (one.encode_hours, one.index_hours) == pytest.approx((2.778, 2.778), abs=1e-3)
    assert one.index_price == pytest.approx(2.778 * 2 / 9, abs=1e-3)
    many = plan(9e6, Rates(encoder_rate=1000, index_ratio=0.9, insert_rate=3000, encoders=8))
    assert many.index_hours == many.insert_hours == pytest.approx(0.833, abs=1e-3)


def test_rates_are_replaced_by_name() -> None:
    assert Rates().with_values(["numbers=192", "encoders=4"]).encoders == 4
    for mistake in ("nonsense=1", "numbers", "numbers=0", "numbers=many"):
        with pytest.raises(ValueError, match=r"expected|could not convert"):
            Rates().with_values([mistake])


def test_each_row_has_a_value_for_each_size() -> None:
    assert all(len(values) == 3 for _, values in plan_rows([plan(10.0**n, HAND) for n in (5, 7, 9)]))
