"""OpenLineage events of a run: START when it begins, COMPLETE or FAIL with inputs, quality assertions and offset ranges
when it ends.

Facets and names follow the OpenLineage spec 2-0-2 (naming: https://openlineage.io/docs/spec/naming): a local file is
`file` and its path, an S3 object `s3://bucket` and its key, a topic `kafka://host:port` and its name. Offset ranges use
`outputCondition` of type `partition`, whose `dimensions` the spec leaves free.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from forebay import __version__
from forebay.lineage.facts import FileFacts, RunFacts
from forebay.model import FileRun, OffsetRange, RuleResult, Status

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent

NAMESPACE = "forebay"
PRODUCER = f"https://pypi.org/project/forebay/{__version__}"


def start(facts: RunFacts) -> RunEvent:
    """The run begins; nothing is known of its files yet."""
    return _event(facts, "START", facts.started)


def end(facts: RunFacts) -> RunEvent:
    """The run has ended: COMPLETE, or FAIL with its error (which names no secret: forebay's errors hold none)."""
    return _event(
        facts, "FAIL" if facts.error else "COMPLETE", datetime.now(UTC), inputs=_inputs(facts), outputs=_outputs(facts)
    )


def _event(facts: RunFacts, state: str, at: datetime, inputs: Any = (), outputs: Any = ()) -> RunEvent:
    from openlineage.client.event_v2 import Run, RunEvent, RunState

    return RunEvent(
        eventType=RunState[state],
        eventTime=at.astimezone(UTC).isoformat(),
        run=Run(runId=facts.identity.lineage_run, facets=_run_facets(facts)),
        job=_job(facts),
        inputs=list(inputs),
        outputs=list(outputs),
        producer=PRODUCER,
    )


def _job(facts: RunFacts) -> Job:
    from openlineage.client.event_v2 import Job
    from openlineage.client.facet_v2 import job_type_job, ownership_job

    return Job(
        namespace=NAMESPACE,
        name=facts.pipeline,
        facets={
            "jobType": job_type_job.JobTypeJobFacet(processingType="BATCH", integration="FOREBAY", jobType="PIPELINE"),
            "ownership": ownership_job.OwnershipJobFacet(owners=[ownership_job.Owner(name=f"team:{facts.owner}")]),
        },
    )


def _run_facets(facts: RunFacts) -> dict[str, Any]:
    from openlineage.client.facet_v2 import (
        error_message_run,
        nominal_time_run,
        processing_engine_run,
        tags_run,
        test_run,
    )

    who = {k: v for k, v in facts.identity.to_json().items() if v is not None and k != "lineage_run"}
    tags = [tags_run.TagsRunFacetFields(key=f"forebay.{k}", value=str(v), source="FOREBAY") for k, v in who.items()]
    facets: dict[str, Any] = {
        "nominalTime": nominal_time_run.NominalTimeRunFacet(
            facts.window.start.isoformat(), facts.window.end.isoformat()
        ),
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(version=__version__, name="forebay"),
        "tags": tags_run.TagsRunFacet(tags=tags),
    }
    if facts.error:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(facts.error, "python")
    tests = [_execution(result) for item in facts.files if item.verdict for result in item.verdict.results]
    if tests:
        facets["test"] = test_run.TestRunFacet(tests=tests)
    return facets


def _execution(result: RuleResult) -> Any:
    from openlineage.client.facet_v2 import test_run

    status = "pass" if result.success else "fail"
    return test_run.TestExecution(
        name=result.title, status=status, severity=_severity(result), type=result.kind, expected=result.expected
    )


def _severity(result: RuleResult) -> str:
    return "error" if result.severity.value == "critical" else "warn"


def _inputs(facts: RunFacts) -> list[InputDataset]:
    from openlineage.client.event_v2 import InputDataset

    made = []
    for item in facts.files:
        if item.file.status is Status.SKIPPED or not item.file.fingerprint:
            continue
        namespace, name = dataset_name(item.file.origin or item.file.file.uri)
        made.append(InputDataset(namespace, name, facets=_input_facets(item), inputFacets=_input_quality(item)))
    return made


def dataset_name(uri: str) -> tuple[str, str]:
    """OpenLineage namespace and name of a file."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return "file", uri.removeprefix("file://")
    return f"{parts.scheme}://{parts.netloc}", uri.removeprefix(f"{parts.scheme}://{parts.netloc}/")


def _input_facets(item: FileFacts) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_type_dataset, dataset_version_dataset

    content = item.file.replay.fingerprint if item.file.replay else item.file.fingerprint
    return (
        _decision(item.file)
        | {
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=f"sha256:{content}"),
            "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet(datasetType="FILE"),
        }
        | _schema(item)
    )


def _decision(file: FileRun) -> dict[str, Any]:
    """What a person decided of the file: who, when, why, and the run in which it waited. The gate's own decisions are
    in the assertions."""
    from openlineage.client.facet_v2 import tags_dataset

    facts = {"follows": file.follows, "replay": file.replay and f"rows {file.replay.rows} from {file.replay.source}"}
    said = file.answer
    if said and said.by and not said.of_the_gate:
        facts |= {"decision": None if file.replay else said.decision.value, "decided_by": said.by}
        facts |= {"decided_at": said.at.isoformat() if said.at else None, "decision_reason": said.reason}
    tags = [
        tags_dataset.TagsDatasetFacetFields(f"forebay.{key}", value, "FOREBAY") for key, value in facts.items() if value
    ]
    return {"tags": tags_dataset.TagsDatasetFacet(tags=tags)} if tags else {}


def _schema(item: FileFacts) -> dict[str, Any]:
    from openlineage.client.facet_v2 import schema_dataset

    fields = [schema_dataset.SchemaDatasetFacetFields(name=c.name, type=c.type) for c in item.columns]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)} if fields else {}


def _input_quality(item: FileFacts) -> dict[str, Any]:
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality
    from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

    facets: dict[str, Any] = {
        "inputStatistics": statistics.InputStatisticsInputDatasetFacet(
            rowCount=item.file.counts.rows_in, size=item.file.file.size, fileCount=1
        )
    }
    if item.verdict and item.verdict.results:
        suite = {"suite": item.verdict.suite or "", "suite_hash": item.verdict.suite_hash}
        assertions = [_assertion(result, suite) for result in item.verdict.results]
        facets["dataQualityAssertions"] = quality.DataQualityAssertionsDatasetFacet(assertions=assertions)
    return facets


def _assertion(result: RuleResult, suite: dict[str, str]) -> Any:
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    actual = result.observed if result.unexpected is None else f"{result.unexpected} unexpected of {result.checked}"
    return quality.Assertion(
        assertion=result.rule,
        success=result.success,
        column=result.columns[0] if result.columns else None,
        severity=_severity(result),
        name=result.title,
        expected=result.expected,
        actual=actual,
        params=suite,
    )


def _outputs(facts: RunFacts) -> list[OutputDataset]:
    data = [place for item in facts.files for place in item.file.outputs if item.file.counts.published]
    aside = [place for item in facts.files for place in item.file.quarantine if item.file.counts.quarantined]
    schema = next((_schema(item) for item in facts.files if item.columns), {})
    made = [_topic(facts, facts.topic, data, schema)] if data else []
    return made + ([_topic(facts, facts.quarantine_topic, aside, {})] if aside else [])


def _topic(facts: RunFacts, topic: str, places: list[OffsetRange], schema: dict[str, Any]) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import base_subset_dataset as subset
    from openlineage.client.facet_v2 import dataset_type_dataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    condition = subset.PartitionSubsetCondition(partitions=[_partition(place) for place in places])
    return OutputDataset(
        namespace=f"kafka://{facts.cluster}",
        name=topic,
        facets={"datasetType": dataset_type_dataset.DatasetTypeDatasetFacet(datasetType="TOPIC")} | schema,
        outputFacets={
            "outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(rowCount=sum(p.count for p in places)),
            "subset": subset.OutputSubsetOutputDatasetFacet(outputCondition=condition),
        },
    )


def _partition(place: OffsetRange) -> Any:
    from openlineage.client.facet_v2 import base_subset_dataset as subset

    dimensions = {
        "partition": place.partition,
        "offset_first": place.first,
        "offset_last": place.last,
        "rows": place.count,
    }
    return subset.Partition(identifier=f"{place.topic}-{place.partition}", dimensions=dimensions)


def lineage_run(pipeline: str, run_id: str) -> str:
    """A stable OpenLineage run id (UUID text) for a run that has none of its own."""
    digest = hashlib.sha256(f"forebay/{pipeline}/{run_id}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
