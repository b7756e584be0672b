"""Great Expectations' expectations as a table, so that a suite can be read and judged without importing Great
Expectations.

`tests/quality/test_catalogue.py` compares every line with the installed Great Expectations, so an upgrade that adds,
drops or changes an expectation fails there and not at night.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

ROW_KINDS = frozenset({"column", "pair", "multi"})
COMMON = frozenset({"batch_id", "library_metadata"})
MAP = ("mostly", "row_condition", "condition_parser")

# kind, type, its own arguments (a star: required). Kinds: column, pair and multi judge each row (and also take MAP's
# arguments); type is a column map in Great Expectations that SQL engines answer from the schema; table looks at the
# whole.
_TABLE = """
column expect_column_value_lengths_to_be_between               column* min_value max_value strict_min strict_max
column expect_column_value_lengths_to_equal                    column* value*
column expect_column_value_z_scores_to_be_less_than            column* threshold* double_sided*
column expect_column_values_to_be_between                      column* min_value max_value strict_min strict_max
column expect_column_values_to_be_dateutil_parseable           column*
column expect_column_values_to_be_decreasing                   column* strictly
column expect_column_values_to_be_in_set                       column* value_set*
column expect_column_values_to_be_increasing                   column* strictly
column expect_column_values_to_be_json_parseable               column*
column expect_column_values_to_be_null                         column*
column expect_column_values_to_be_unique                       column*
column expect_column_values_to_match_json_schema               column* json_schema*
column expect_column_values_to_match_like_pattern              column* like_pattern* escape
column expect_column_values_to_match_like_pattern_list         column* like_pattern_list* match_on escape
column expect_column_values_to_match_regex                     column* regex
column expect_column_values_to_match_regex_list                column* regex_list* match_on
column expect_column_values_to_match_strftime_format           column* strftime_format*
column expect_column_values_to_not_be_in_set                   column* value_set*
column expect_column_values_to_not_be_null                     column*
column expect_column_values_to_not_be_outliers                 column* method multiplier
column expect_column_values_to_not_match_like_pattern          column* like_pattern* escape
column expect_column_values_to_not_match_like_pattern_list     column* like_pattern_list* escape
column expect_column_values_to_not_match_regex                 column* regex*
column expect_column_values_to_not_match_regex_list            column* regex_list*
type   expect_column_values_to_be_of_type                      column* type_*
type   expect_column_values_to_be_in_type_list                 column* type_list
pair   expect_column_pair_values_a_to_be_greater_than_b        column_A* column_B* or_equal ignore_row_if
pair   expect_column_pair_values_to_be_equal                   column_A* column_B* ignore_row_if
pair   expect_column_pair_values_to_be_in_set                  column_A* column_B* value_pairs_set* ignore_row_if
multi  expect_compound_columns_to_be_unique                    column_list* ignore_row_if
multi  expect_multicolumn_sum_to_equal                         column_list* sum_total* ignore_row_if
multi  expect_multicolumn_values_to_be_equal                   column_list* ignore_row_if
multi  expect_select_column_values_to_be_unique_within_record  column_list* ignore_row_if
table  expect_column_distinct_values_to_be_in_set              column* value_set* row_condition condition_parser
table  expect_column_distinct_values_to_contain_set            column* value_set* row_condition condition_parser
table  expect_column_distinct_values_to_equal_set              column* value_set* row_condition condition_parser
table  expect_column_kl_divergence_to_be_less_than             column* partition_object threshold internal_weight_holdout tail_weight_holdout bucketize_data min_value max_value row_condition condition_parser
table  expect_column_max_to_be_between                         column* min_value max_value strict_min strict_max row_condition condition_parser
table  expect_column_mean_to_be_between                        column* min_value max_value strict_min strict_max row_condition condition_parser
table  expect_column_median_to_be_between                      column* min_value max_value strict_min strict_max row_condition condition_parser
table  expect_column_min_to_be_between                         column* min_value max_value strict_min strict_max row_condition condition_parser
table  expect_column_most_common_value_to_be_in_set            column* value_set* ties_okay row_condition condition_parser
table  expect_column_proportion_of_non_null_values_to_be_between column* min_value max_value strict_min strict_max row_condition condition_parser
table  expect_column_proportion_of_unique_values_to_be_between column* min_value max_value strict_min strict_max row_condition condition_parser
table  expect_column_quantile_values_to_be_between             column* quantile_ranges* allow_relative_error row_condition condition_parser
table  expect_column_stdev_to_be_between                       column* min_value max_value strict_min strict_max row_condition condition_parser
table  expect_column_sum_to_be_between                         column* min_value max_value strict_min strict_max row_condition condition_parser
table  expect_column_to_exist                                  column* column_index
table  expect_column_type_to_be                                column* type_*
table  expect_column_unique_value_count_to_be_between          column* min_value max_value strict_min strict_max row_condition condition_parser
table  expect_query_results_to_match_comparison                base_query* comparison_data_source_name* comparison_query* mostly
table  expect_table_column_count_to_be_between                 min_value max_value
table  expect_table_column_count_to_equal                      value*
table  expect_table_columns_to_match_ordered_list              column_list
table  expect_table_columns_to_match_set                       column_set exact_match
table  expect_table_row_count_to_be_between                    min_value max_value strict_min strict_max row_condition condition_parser
table  expect_table_row_count_to_equal                         value* row_condition condition_parser
table  expect_table_row_count_to_equal_other_table             other_table_name* row_condition condition_parser
table  unexpected_rows_expectation                             unexpected_rows_query*
"""  # noqa: E501

REFUSED = {
    "expect_query_results_to_match_comparison": "it asks a second data source, and a file is checked on its own",
    "expect_table_row_count_to_equal_other_table": "it counts another table, and a file is checked on its own",
}
"""Expectations that this engine cannot answer, each with the reason."""

MAY_NAME_ANY_COLUMN = frozenset({"expect_column_to_exist", "expect_table_columns_to_match_ordered_list"})
"""Expectations whose column may be missing: that is what they ask."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One expectation: its kind (see the table), the arguments it takes, and those it needs."""

    type: str
    kind: str
    arguments: frozenset[str]
    required: frozenset[str]

    @property
    def judges_rows(self) -> bool:
        """Whether single rows fail it."""
        return self.kind in ROW_KINDS


@cache
def entries() -> dict[str, Entry]:
    """Every expectation by its type."""
    return {entry.type: entry for entry in map(_entry, _TABLE.strip().splitlines())}


def _entry(line: str) -> Entry:
    kind, name, *words = line.split()
    own = frozenset(word.rstrip("*") for word in words)
    arguments = own | (frozenset() if kind == "table" else frozenset(MAP))
    return Entry(name, kind, arguments, frozenset(word[:-1] for word in words if word.endswith("*")))
