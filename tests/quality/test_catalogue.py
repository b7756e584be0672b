"""The table of expectations is that of the installed Great Expectations."""

from __future__ import annotations

from typing import Any

from forebay.quality import catalogue
from forebay.quality.imports import great_expectations

SQL_ANSWERS_FROM_THE_SCHEMA = {"expect_column_values_to_be_of_type", "expect_column_values_to_be_in_type_list"}


def installed() -> dict[str, tuple[str, frozenset[str], frozenset[str]]]:
    great_expectations()
    from great_expectations.expectations import expectation as gx
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    kinds = {
        gx.ColumnMapExpectation: "column",
        gx.ColumnPairMapExpectation: "pair",
        gx.MulticolumnMapExpectation: "multi",
    }
    common = {*gx.Expectation.__fields__, *catalogue.COMMON}

    def entry(name: str) -> tuple[str, frozenset[str], frozenset[str]]:
        kind: Any = get_expectation_impl(name)
        fields = {key: field for key, field in kind.__fields__.items() if key not in common}
        judged = next((word for base, word in kinds.items() if issubclass(kind, base)), "table")
        required = frozenset(key for key, field in fields.items() if field.required)
        return "type" if name in SQL_ANSWERS_FROM_THE_SCHEMA else judged, frozenset(fields), required

    return {name: entry(name) for name in list_registered_expectation_implementations()}


def test_every_expectation_is_listed_with_its_kind_and_arguments() -> None:
    listed = {name: (entry.kind, entry.arguments, entry.required) for name, entry in catalogue.entries().items()}
    assert listed == installed()
    assert len(listed) == 59


def test_refusals_are_of_listed_expectations() -> None:
    assert catalogue.REFUSED.keys() <= catalogue.entries().keys()


def test_our_providers_name_the_same_arguments_as_theirs() -> None:
    """Others would replace theirs for every engine (and Great Expectations would only warn)."""
    great_expectations()
    from great_expectations.expectations.registry import _registered_metrics as metrics

    ours = {name: metrics[name]["providers"] for name in metrics if "ForebayDuckEngine" in metrics[name]["providers"]}
    compared = 0
    for name, providers in ours.items():
        own = providers["ForebayDuckEngine"][0]
        theirs = [
            providers[kind][0] for kind in ("PandasExecutionEngine", "SqlAlchemyExecutionEngine") if kind in providers
        ]
        for keys in ("condition_value_keys", "value_keys"):
            if theirs and hasattr(own, keys):
                compared += 1
                assert set(getattr(own, keys)) == set(getattr(theirs[0], keys)), name
    assert compared > 20
