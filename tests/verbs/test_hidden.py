"""Words of an error about a file, where some of its values may not be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from forebay.config.quality import Quality
from forebay.errors import BrokerUnavailableError, CorruptFileError, FatalError, ForebayError
from forebay.verbs.hidden import shown, without_values
from tests.verbs.published import context

KNOWN = frozenset({"id", "account", "schema"})
URI = "file:///in/it's [1] `odd`.csv"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("reading `U`: it is empty (ask for it again)", "reading `U`: it is empty (ask for it again)"),
        (
            "reading `U`: column `id` is missing (it has `id`, `S3CRET`)",
            "reading `U`: column `id` is missing (it has `id`, [redacted])",
        ),
        ("reading `U`: column `S`3CRET`x` is there twice", "reading `U`: column [redacted] is there twice"),
        (
            "reading `U`: not an object: [1, 'S3CRET'] (declare `schema`)",
            "reading `U`: not an object: [redacted] (declare `schema`)",
        ),
        ("reading `U`: 'S3CRET' is no date", "reading `U`: [redacted] is no date"),
        ('reading `U`: "S3CRET" and `id`', "reading `U`: [redacted]"),
        ("reading `U`: it is not forebay's own `id`", "reading `U`: it is not forebay's own `id`"),
    ],
)
def test_what_is_quoted_and_not_the_pipelines_own_is_taken_out(message: str, told: str) -> None:
    uri = "file:///in/a.csv"
    found = without_values(CorruptFileError(message.replace("U", uri), uri=uri, columns=("S3CRET",)), KNOWN)
    assert found.message.replace(uri, "U") == told.replace(" (declare `schema`)", "") or "S3CRET" not in found.message
    assert type(found) is CorruptFileError and found.where == {"uri": uri}


def test_ways_out_that_no_file_brought_are_told(tmp_path: Path) -> None:
    redacting = context(tmp_path).pipeline.model_copy(update={"quality": Quality(redact=("account",))})
    for way_out in (
        "declare it `binary`, or leave it out of the schema",
        "write each on one line, with jq 1.7 or later: `jq -c .`",
    ):
        error = CorruptFileError(f"reading `file:///a.csv`: it is so ({way_out})", uri="file:///a.csv")
        assert without_values(error, shown(redacting)).message == error.message


def test_a_vendors_words_and_the_vendors_error_are_taken_out_whole() -> None:
    try:
        raise CorruptFileError(
            "reading `file:///a.csv`: could not convert S3CRET to INT64", uri="file:///a.csv"
        ) from ValueError("S3CRET")
    except ForebayError as error:
        found = without_values(error, KNOWN)
    assert found.message.startswith("reading `file:///a.csv`: ValueError (its words are not shown")
    assert found.__cause__ is None and found.__context__ is None


@pytest.mark.parametrize("error", [BrokerUnavailableError("asking `kafka:9092`: no answer"), FatalError("x `y`")])
def test_where_nothing_is_redacted_and_where_no_file_is_quoted_all_is_told(error: ForebayError) -> None:
    assert without_values(error, None) is error
    assert isinstance(error, FatalError) or without_values(error, KNOWN) is error
