"""Arrows point down: import-linter's contracts (pyproject.toml), with every module placed, and the vendors where they
belong."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
HOMES = {
    "confluent_kafka": {"forebay.kafka"},
    "boto3": {"forebay.sources"},
    "botocore": {"forebay.sources"},
    "great_expectations": {"forebay.quality"},
    "sqlalchemy": {"forebay.index", "forebay.quality"},  # Great Expectations speaks to its engine through it
    "openlineage": {"forebay.lineage"},
    "airflow": {"forebay_airflow"},
    "pytest": {"forebay.testing"},
    "hypothesis": {"forebay.testing"},
}
"""One vendor, one home."""
LAZY = {*HOMES, "duckdb", "pyarrow", "numpy"} - {"airflow"}
"""Never imported at module level in what a DAG parse or `forebay --help` loads; types stand under TYPE_CHECKING."""
LOADED_BY_A_PARSE = ("config", "contracts", "cli", "model", "errors.py", "events.py", "registry.py")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter, as `make check` calls it, on the sources in `folder`."""
    path = os.pathsep.join([str(folder / "include"), str(folder / "plugins")])
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
        "--config",
        "pyproject.toml",
    ]
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


def test_import_linters_contracts_are_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_an_unplaced_module_and_an_arrow_upwards_are_found(tmp_path: Path) -> None:
    """The checker itself is checked: on a copy of the sources with two faults."""
    import shutil

    hide = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("include", "plugins"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=hide)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "include/forebay/stray.py").write_text('"""Placed nowhere."""\n')
    model = tmp_path / "include/forebay/model/json.py"
    model.write_text(model.read_text("utf-8") + "\nfrom forebay import registry as _up\n", "utf-8")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "stray" in done.stdout and "forebay.model" in done.stdout and "forebay.registry" in done.stdout


def test_every_module_has_a_layer_and_every_layer_a_module() -> None:
    [layers] = [contract["layers"] for contract in CONTRACTS if contract.get("exhaustive")]
    placed = {name.strip() for layer in layers for name in layer.split("|")}
    engine = ROOT / "include/forebay"
    there = {p.stem for p in engine.glob("*.py")} | {
        p.name for p in engine.iterdir() if p.is_dir() and any(p.glob("*.py"))
    }
    assert placed == there - {"__init__"}


def test_everything_that_knows_airflow_lies_under_plugins() -> None:
    packages = {p.parent.name for p in (ROOT / "plugins").glob("*/__init__.py")}
    assert packages == {"forebay_airflow"}
    assert "forebay_airflow/" in (ROOT / "plugins/.airflowignore").read_text().split()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Top-level names that a module imports, and whether at module level at run time (not in a function, not under
    TYPE_CHECKING)."""

    def walk(nodes: list[ast.stmt], eager: bool) -> Iterator[tuple[str, bool]]:
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name.split(".")[0], eager) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0], eager
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from walk(node.body, False)
            elif isinstance(node, ast.If):
                yield from walk(node.body, eager and "TYPE_CHECKING" not in ast.dump(node.test))
                yield from walk(node.orelse, eager)
            else:
                for field in ("body", "orelse", "handlers", "finalbody"):
                    yield from walk(getattr(node, field, []), eager)

    yield from walk(ast.parse(path.read_text("utf-8")).body, True)


def modules() -> Iterator[tuple[Path, str]]:
    """Every module of ours, and the package it lies in (`forebay.kafka`, `forebay_airflow`)."""
    for base in (ROOT / "include/forebay", ROOT / "plugins/forebay_airflow"):
        for path in sorted(base.rglob("*.py")):
            inner = path.relative_to(base).parts[0].removesuffix(".py")
            yield path, f"{base.name}.{inner}" if base.name == "forebay" else base.name


def test_each_vendor_has_one_home() -> None:
    astray = [
        f"{path.relative_to(ROOT)}: {vendor}"
        for path, package in modules()
        for vendor, _ in imports(path)
        if vendor in HOMES and package not in HOMES[vendor]
    ]
    assert astray == []


def test_no_vendor_is_imported_where_a_dag_parse_would_pay_for_it() -> None:
    engine = ROOT / "include/forebay"
    paths = [
        p
        for name in LOADED_BY_A_PARSE
        for p in ([engine / name] if name.endswith(".py") else (engine / name).rglob("*.py"))
    ]
    assert len(paths) > 20
    assert [
        f"{path.relative_to(ROOT)}: {vendor}"
        for path in paths
        for vendor, eager in imports(path)
        if eager and vendor in LAZY
    ] == []


def _private_and_foreign() -> set[str]:
    """Imports of a module or a name that begins with `_` from outside the package that it lies in."""
    found = set()
    for base in ("include", "plugins"):
        for path in (ROOT / base).rglob("*.py"):
            here = ".".join(path.relative_to(ROOT / base).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    for name in node.names:
                        parts = f"{node.module}.{name.name}".split(".")
                        owner = next((parts[:i] for i, part in enumerate(parts) if re.match("_[^_]", part)), None)
                        if owner and owner[0].startswith("forebay") and here.split(".")[: len(owner)] != owner:
                            found.add(f"{here} imports {'.'.join(parts)}")
    return found


def test_private_means_private_to_its_package() -> None:
    assert _private_and_foreign() == set()
