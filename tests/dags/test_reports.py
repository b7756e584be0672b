"""Quality reports behind Airflow's login: who may read, and that nothing but a report is ever served."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from forebay.pages.values import Night, PipelineHistory, State, Summary


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client that is logged in as a viewer; `client.app.dependency_overrides.clear()` logs out. There is no database
    to ask for a DAG's team."""
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from airflow.models.dag import DagModel
    from fastapi.testclient import TestClient

    from forebay_airflow.views.reports import make_app

    monkeypatch.setattr(DagModel, "get_team_name", lambda dag_id: None)
    create_auth_manager()
    reports = tmp_path / "reports"
    (reports / "data_docs" / "birds").mkdir(parents=True)
    (reports / "data_docs" / "index.html").write_text("<p>all of them</p>")
    (reports / "data_docs" / "birds" / "a b.html").write_text("<script>alert(1)</script>")
    (tmp_path / "secret.txt").write_text("no")
    (reports / "out.html").symlink_to(tmp_path / "secret.txt")
    app = make_app(reports)
    app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="ann", role="viewer")
    return TestClient(app)


@pytest.mark.parametrize("path", ["/reports/", "/reports/data_docs/index.html", "/reports/nothing"])
def test_a_stranger_is_refused(client: Any, path: str) -> None:
    client.app.dependency_overrides.clear()
    assert client.get(path).status_code in {401, 403}


def test_a_viewer_finds_the_index_and_the_pages(client: Any) -> None:
    listing = client.get("/reports/")
    assert listing.status_code == 200
    assert 'href="data_docs/index.html"' in listing.text
    assert client.get("/reports/data_docs/index.html").text == "<p>all of them</p>"
    assert client.get("/reports/data_docs/birds/a%20b.html").status_code == 200


@pytest.mark.parametrize("kind", ["data_docs", "quality"])
def test_a_pipelines_pages_ask_for_the_right_to_its_dag(
    client: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    asked: list[str | None] = []

    def authorized(**given: Any) -> bool:
        asked.append(given["details"].id)
        return given["details"].id != "birds"

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", authorized)
    pages = [
        f"/reports/{kind}/birds/a%20b.html",
        f"/reports/{kind}%2Fbirds/a%20b.html",
        f"/reports/{kind}/birds/2013-01-01/a.html",
    ]
    assert [client.get(page).status_code for page in pages] == [403, 403, 403]
    assert asked == ["birds", "birds", "birds"]


def test_a_page_over_all_pipelines_shows_those_that_the_reader_may_read(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, files and outcomes of others are theirs; who may read all of them gets the page as it was written."""
    from airflow.api_fastapi.app import get_auth_manager

    from forebay.quality.docs import build_index

    docs = tmp_path / "reports" / "data_docs"
    for name in ("birds", "salaries"):
        (docs / name).mkdir(exist_ok=True)
        facts = {
            "page": f"{name}/a.html",
            "run": f"{name}/a",
            "suite": f"{name}-suite",
            "success": True,
            "rules": 1,
            "failed": 0,
            "rows": 7,
        }
        (docs / name / "a.json").write_text(json.dumps(facts | {"checked": "2026-01-05T00:00:00+00:00"}))
    build_index(docs)
    for name in ("birds", "salaries"):
        save_summary(tmp_path / "reports", name)
    pages = ["/reports/data_docs/index.html", "/reports/quality/index.html"]
    assert all("salaries" in client.get(page).text and "birds" in client.get(page).text for page in pages)
    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", lambda **given: given["details"].id != "salaries")
    for page in pages:
        shown = client.get(page)
        assert shown.status_code == 200 and "birds" in shown.text and "salaries" not in shown.text
        assert "default-src 'none'" in shown.headers["content-security-policy"]
    inner = [
        "data_docs/salaries/index.summary",
        "quality/salaries/summary.json",
        "quality/.lock",
        "data_docs/.lock",
        "quality//salaries/summary.json",
    ]
    assert {client.get(f"/reports/{page}").status_code for page in inner} <= {403, 404}


def save_summary(reports: Path, name: str) -> None:
    from forebay.pages.store import Pages

    pages, now = Pages(reports), datetime(2026, 1, 6, tzinfo=UTC)
    pages.write_pipeline(
        PipelineHistory(Summary(name, "ann", "by hand", (Night(date(2026, 1, 5), State.OK),)), "", ()), now
    )
    pages.write_index(now)


@pytest.mark.parametrize(
    "page", ["data_docs//birds/a%20b.html", "data_docs/%2e/birds/a%20b.html", "/data_docs/birds/a%20b.html"]
)
def test_a_page_has_one_address(client: Any, page: str) -> None:
    """Another one would be asked about another DAG."""
    assert client.get(f"/reports/{page}").status_code == 404


def test_no_script_runs_on_airflows_origin(client: Any) -> None:
    found = client.get("/reports/data_docs/birds/a%20b.html").headers
    assert "default-src 'none'" in found["content-security-policy"]
    assert "script-src" not in found["content-security-policy"]
    assert found["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "page",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "data_docs/../../secret.txt",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "out.html",
        "data_docs",
    ],
)
def test_nothing_else_is_served(client: Any, page: str) -> None:
    assert client.get(f"/reports/{page}").status_code == 404


def test_the_plugin_is_light() -> None:
    """Every task's process imports it."""
    import subprocess
    import sys

    code = (
        "import sys; import airflow.plugins_manager; before = set(sys.modules); sys.path.insert(0, 'plugins'); "
        "import forebay_plugin;"
        "print(sorted(m for m in set(sys.modules) - before)); "
        "print(forebay_plugin.ForebayPlugin().external_views[0]['href'])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.splitlines() == ["['forebay_plugin']", "/forebay/reports/"]
