"""What a model sees, in the words of its card."""

from personsearch.evaluation.attributes.limits import limits, with_limits

METRICS = {"attribute_auc_gender": 0.53, "attribute_auc_bag": 0.7, "attribute_auc_sleeves": 0.95, "t2i_r1": 60.0}


def test_each_attribute_is_in_one_sentence() -> None:
    assert limits(METRICS) == [
        "It does not see gender (0.53).",
        "It sees in part any bag (0.70).",
        "It sees sleeves (0.95).",
    ]
    assert limits({"attribute_auc_gender": float("nan")}) == ["It does not see gender (nan)."]
    assert limits({"t2i_r1": 60.0}) == []


def test_the_card_has_one_such_section_of_the_last_measurement() -> None:
    first = with_limits("# A model\n\nText.\n", METRICS, "val")
    assert first.startswith("# A model\n\nText.\n\n## What it sees\n\nAsked in words")
    assert "on split val" in first
    assert "- It does not see gender (0.53).\n" in first
    second = with_limits(f"{first}\n## Compression\n\nA table.\n", {"attribute_auc_gender": 0.92}, "test")
    assert second.count("## What it sees") == 1
    assert "## Compression\n\nA table.\n" in second
    assert "does not see" not in second
    assert "It sees gender (0.92)" in second


def test_without_a_measurement_the_card_stays() -> None:
    assert with_limits("# A model\n", {"t2i_r1": 60.0}, "test") == "# A model\n"
