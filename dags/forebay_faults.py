"""No Airflow DAG lives here: this file fails to import as long as a pipeline file has faults, and the import error
names each with its line.

It is a file of its own because Airflow drops every DAG of a file that raises.
"""

from __future__ import annotations

from airflow.sdk import get_parsing_context

from forebay_airflow.dag_builder import raise_faults

if not get_parsing_context().dag_id:  # a task's process needs its own DAG only
    raise_faults()
