"""Airflow DAGs, one per file of include/pipelines: the dag id is the pipeline's name. How one is built:
plugins/forebay_airflow/dag_builder.py.

A pipeline file with faults never hides the others; forebay_faults.py, beside this file, shows them as Airflow's import
error.
"""

from __future__ import annotations

from airflow.sdk import get_parsing_context

from forebay_airflow.dag_builder import all_dags

globals().update(all_dags(only=get_parsing_context().dag_id))
