"""Quality reports behind Airflow's login: the pages below the project's reports folder, looked up, never joined from
what was asked for."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow.api_fastapi.app import (
    get_auth_manager,
)  # internal to Airflow 3.3, as the next ones: only here, and tests/dags/test_reports.py
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response

POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "frame-ancestors 'self'"
)
"""Reports show values that partners wrote, on Airflow's own origin: no script runs in them, and nothing is loaded from
elsewhere."""


def make_app(folder: Path | None = None) -> FastAPI:
    """The app. Plugins have no login of their own, so every route asks for the right to read DAG runs. `folder` is for
    tests."""
    login = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=[login])

    @app.get("/reports/")
    def listing() -> Response:
        return _guarded(HTMLResponse(_listing(_folder(folder))))

    @app.get("/reports/{kind}/index.html")
    def of_all(kind: str, user: GetUserDep) -> Response:
        """The page over all pipelines, with those alone that the reader may read."""
        return _index(_folder(folder), kind, lambda name: _may_read(name, user))

    @app.get("/reports/{kind}/{dag_id}/{page:path}")
    def of_pipeline(kind: str, dag_id: str, page: str) -> Response:
        """Pages of one pipeline: its name is its DAG's id, so that Airflow asks for the right to read that DAG's
        runs."""
        file = _find(_folder(folder), f"{kind}/{dag_id}/{page}")
        return _guarded(HTMLResponse(_NOTHING, 404) if file is None else FileResponse(file))

    @app.get("/reports/{page:path}")
    def nothing_else(page: str) -> Response:
        """Every page is one pipeline's, or over all of them."""
        return _guarded(HTMLResponse(_NOTHING, 404))

    return app


def _may_read(pipeline: str, user: Any) -> bool:
    """Whether Airflow lets the user read runs of the pipeline's DAG."""
    details = DagDetails(id=pipeline, team_name=DagModel.get_team_name(pipeline))
    return get_auth_manager().is_authorized_dag(
        method="GET", access_entity=DagAccessEntity.RUN, details=details, user=user
    )


def _index(folder: Path, kind: str, may_read: Callable[[str], bool]) -> Response:
    written = _find(folder, f"{kind}/index.html")
    if written is None or kind not in _TITLES:
        return _guarded(HTMLResponse(_NOTHING, 404))
    pipelines = {path.name for path in written.parent.iterdir() if path.is_dir()}
    readable = set(filter(may_read, pipelines))
    if readable == pipelines:
        return _guarded(FileResponse(written))
    return _guarded(HTMLResponse(_page_of_some(folder, kind, readable)))


def _page_of_some(folder: Path, kind: str, pipelines: set[str]) -> str:
    if kind == "data_docs":
        from forebay.quality.docs import index_of

        return index_of(folder / kind, pipelines)
    from forebay.pages.store import Pages

    return Pages(folder).index_of(pipelines, datetime.now(UTC))


_NOTHING = (
    '<!doctype html><meta charset="utf-8"><title>No report</title><p>No run has left such a report, '
    "or it was kept for long enough.</p>"
)


def _folder(given: Path | None) -> Path:
    if given is not None:
        return given
    from forebay_airflow.dag_builder import project

    return project().reports


def _find(folder: Path, page: str) -> Path | None:
    """The file of that relative path: each part is looked up in its folder's listing; a link that leads out of the
    reports is no report."""
    root = place = folder.resolve()
    for part in page.split("/"):
        child = next((entry for entry in place.iterdir() if entry.name == part), None) if place.is_dir() else None
        if child is None:
            return None
        place = child
    return place if place.is_file() and place.resolve().is_relative_to(root) else None


_TITLES = {"quality": "Quality history: pipelines and nights", "data_docs": "Data Docs: the check of each file"}


def _listing(folder: Path) -> str:
    """The indexes of each kind of report, the history first."""
    kinds = sorted(
        (path.parent.name for path in folder.glob("*/index.html")),
        key=lambda kind: (kind not in _TITLES, kind != "quality", kind),
    )
    items = "".join(
        f'<li><a href="{quote(kind)}/index.html">{html.escape(_TITLES.get(kind, kind))}</a></li>' for kind in kinds
    )
    body = f"<ul>{items}</ul>" if items else "<p>No run has left a quality report yet.</p>"
    return f'<!doctype html><meta charset="utf-8"><title>Quality reports</title><h1>Quality reports</h1>{body}'


def _guarded(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
