"""Quality reports behind Airflow's login: the pages below the project's reports folder, looked up, never joined from what was asked for."""

from __future__ import annotations

import html
from pathlib import Path
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag  # internal to Airflow 3.3: only here, and tests/dags/test_reports.py
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, Response

POLICY = "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; frame-ancestors 'self'"
"""Reports show values that partners wrote, on Airflow's own origin: no script runs in them, and nothing is loaded from elsewhere."""


def make_app(folder: Path | None = None) -> FastAPI:
    """The app. Plugins have no login of their own, so every route asks for the right to read DAG runs. `folder` is for tests."""
    login = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=[login])

    @app.get("/reports/")
    def listing() -> Response:
        return _guarded(HTMLResponse(_listing(_folder(folder))))

    @app.get("/reports/{page:path}")
    def report(page: str) -> Response:
        found = _files(_folder(folder)).get(page)
        if found is None:
            raise HTTPException(404, "no such report")
        return _guarded(FileResponse(found))

    return app


def _folder(given: Path | None) -> Path:
    if given is not None:
        return given
    from forebay_airflow.dag_builder import project

    return project().reports


def _files(folder: Path) -> dict[str, Path]:
    """Every file below the folder by its relative path; links that lead out of it are left out."""
    root = folder.resolve()
    return {p.relative_to(root).as_posix(): p for p in sorted(root.rglob("*")) if p.is_file() and p.resolve().is_relative_to(root)}


def _listing(folder: Path) -> str:
    pages = [name for name, path in _files(folder).items() if path.suffix == ".html"]
    index = [name for name in pages if name.endswith("index.html")]
    items = "".join(f'<li><a href="{quote(name)}">{html.escape(name)}</a></li>' for name in (index or pages)[:1000])
    body = f"<ul>{items}</ul>" if items else "<p>No run has left a quality report yet.</p>"
    return f'<!doctype html><meta charset="utf-8"><title>Quality reports</title><h1>Quality reports</h1>{body}'


def _guarded(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
