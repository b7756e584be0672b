"""What every notifier must do. A notifier's test inherits `NotifierContract` and says how to make one, who takes its
notices, and how they fail."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from forebay.contracts import Notice, Notifier, Settings
from forebay.errors import ForebayError

NOTICE = Notice(
    event="waiting",
    pipeline="orders",
    owner="shop",
    day="2026-01-05",
    run_id="manual__2026-01-05__1",
    uri="s3://drops/a 'b\"ü.csv",
    fingerprint="ab" * 32,
    reason='critical rule x failed: observed `1`\n; rm -rf "$HOME" `id`',
    rows_in=10,
    quarantined=2,
    rejected=0,
    way_out="forebay decide orders",
)
SECRET = "s3cr3t-t0ken"


class NotifierContract:
    """The inherited suite. Whatever a notifier is made for by `make_failing` and `make_slow` must stand for its kinds
    of trouble."""

    def make_notifier(self) -> Notifier[Any]:
        """One whose other side takes everything."""
        raise NotImplementedError

    def taken(self) -> list[dict[str, Any]]:
        """The notices that the other side has, as it got them."""
        raise NotImplementedError

    def make_failing(self) -> list[Notifier[Any]]:
        """Ones whose other side refuses, is not there, or is configured wrongly; each holds `SECRET` where it holds a
        secret at all."""
        raise NotImplementedError

    def make_slow(self) -> Notifier[Any]:
        """One with the least timeout, whose other side never answers."""
        raise NotImplementedError

    def test_a_notice_arrives_whole(self) -> None:
        self.make_notifier().tell(NOTICE)
        [notice] = self.taken()
        assert {key: notice[key] for key in NOTICE.to_json()} == NOTICE.to_json()

    def test_each_notice_arrives_once(self) -> None:
        notifier = self.make_notifier()
        for _ in range(3):
            notifier.tell(NOTICE)
        assert len(self.taken()) == 3

    def test_a_failure_is_told_without_the_secret(self) -> None:
        for notifier in self.make_failing():
            with pytest.raises(ForebayError) as caught:
                notifier.tell(NOTICE)
            assert SECRET not in str(caught.value)
            assert caught.value.__cause__ is None
            assert caught.value.message == caught.value.message.strip()

    def test_it_does_not_wait_for_ever(self) -> None:
        began = time.monotonic()
        with pytest.raises(ForebayError):
            self.make_slow().tell(NOTICE)
        assert time.monotonic() - began < 20

    def test_its_settings_are_strict(self) -> None:
        config = type(self.make_notifier()).Config
        assert issubclass(config, Settings)
        assert config.model_config["extra"] == "forbid"

    def test_a_notice_survives_json(self) -> None:
        assert Notice.from_json(json.loads(json.dumps(NOTICE.to_json()))) == NOTICE
