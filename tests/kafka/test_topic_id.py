"""Half a file in a topic that was made anew is not completed there."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from forebay.errors import PlanChangedError
from forebay.kafka import ends, topics
from forebay.kafka.publish.account import Account
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.publisher import publish_file
from tests.harness.generated import make_job, make_pipeline
from tests.support.kafka import Cluster, create_topic, fresh, read_all
from tests.support.ledger_topics import lose

pytestmark = pytest.mark.kafka


def begun(kafka: Cluster) -> PublishJob:
    """A job of three chunks of which the first is committed, in a topic that was then made anew."""
    pipeline = make_pipeline(fresh("anew").lower(), timeout="10s")
    topics.ensure(kafka.config, pipeline)
    job = _of(kafka, make_job(kafka.config, pipeline, 100, 40))

    def one(chunk: int) -> Any:
        if chunk:
            raise OSError("no more")
        return job.encode(chunk)

    with pytest.raises(OSError, match="no more"):
        publish_file(dataclasses.replace(job, encode=one))
    lose(pipeline.topic.name, kafka)
    create_topic(kafka.config, pipeline.topic.name, pipeline.topic.partitions)
    return _of(kafka, job)


def _of(kafka: Cluster, job: PublishJob) -> PublishJob:
    """The job with the id that its topic has now."""
    now = ends.id_of(kafka.config, job.pipeline.topic.name)
    return dataclasses.replace(job, origin=dataclasses.replace(job.origin, topic_id=now))


def test_it_is_refused_with_its_way_out(kafka: Cluster) -> None:
    job = begun(kafka)
    with pytest.raises(PlanChangedError, match=r"which was made anew since .*--generation new"):
        publish_file(job)
    assert read_all(kafka.config, job.pipeline.topic.name) == []
    publish_file(dataclasses.replace(job, generation=2))
    assert len(read_all(kafka.config, job.pipeline.topic.name)) == 100


def test_control_without_the_id_the_rest_is_published_alone(kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    job = begun(kafka)
    monkeypatch.setattr(Account, "_refuse_topic_made_anew", lambda *_: None)
    publish_file(job)
    assert len(read_all(kafka.config, job.pipeline.topic.name)) == 60
