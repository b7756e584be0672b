"""Registers forebay's pages and its timetable with Airflow. Imported in every component and in each task's process, so
it imports nothing but Airflow's base class."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class ForebayPlugin(AirflowPlugin):
    """Quality reports in the navigation, served under `/forebay` to users who may read DAG runs; and the timetable of
    nights."""

    name = "forebay"
    external_views = [
        {
            "name": "Quality reports",
            "href": "/forebay/reports/",
            "destination": "nav",
            "category": "browse",
            "url_route": "forebay-reports",
        },
        {
            "name": "Quality",
            "href": "/forebay/reports/quality/{DAG_ID}/index.html",
            "destination": "dag",
            "url_route": "forebay-quality",
        },
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """Built when the API server asks: building it elsewhere would cost each task two seconds."""
        from forebay_airflow.views.reports import make_app

        return [{"app": make_app(), "url_prefix": "/forebay", "name": "forebay"}]

    @property
    def timetables(self) -> list[type[Any]]:
        """Asked for when a DAG is written to or read from the database."""
        from forebay_airflow.nights import Nights

        return [Nights]
