"""How many candidates a graph is asked for."""

import pytest

from personsearch.integrations.milvus.options import CollectionOptions


@pytest.mark.parametrize(
    ("chosen", "results", "candidates"),
    [
        ({}, 44, 512),
        ({}, 2000, 4000),
        ({"ef": 100}, 44, 100),
        ({"ef": 20}, 44, 44),  # fewer candidates than results are refused
    ],
)
def test_candidates_of_a_search(chosen: dict[str, int], results: int, candidates: int) -> None:
    assert CollectionOptions(search=chosen).search_parameters(results)["params"] == {"ef": candidates}
