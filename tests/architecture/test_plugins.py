"""What every plug-in owes: one class a module, a docstring, strict and described settings, a test that inherits the
contract, and lazy vendors.

The fleet is discovered, never listed: a new module in a plug-in package is guarded from its first day.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from forebay import registry, testing
from forebay.contracts import Settings

ROOT = Path(__file__).parents[2]
FLEET = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]
VENDORS = (
    "airflow",
    "boto3",
    "botocore",
    "confluent_kafka",
    "duckdb",
    "great_expectations",
    "openlineage",
    "pyarrow",
    "sqlalchemy",
)
WAIVERS = {("TestS3WithVersions", "test_more_than_a_thousand_files_are_listed")}
"""(test class, contract test) that a plug-in's own test overrides. This list may only shrink."""

each_plugin = pytest.mark.parametrize(("kind", "name"), FLEET, ids=lambda part: part)


def test_the_fleet_is_what_lies_in_the_folders() -> None:
    engine = ROOT / "include/forebay"
    found = {
        (kind, p.stem) for kind in registry.KINDS for p in (engine / kind).glob("*.py") if not p.name.startswith("_")
    }
    assert set(FLEET) == found
    assert {kind for kind, _ in FLEET} == set(registry.KINDS)


@each_plugin
def test_a_module_holds_exactly_one_plugin_with_docstrings(kind: str, name: str) -> None:
    plugin = registry.find(kind, name)
    module = importlib.import_module(plugin.__module__)
    assert inspect.getdoc(module) and plugin.__doc__
    public = [
        n
        for n, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and n[0] != "_"
    ]
    settings = config(plugin)
    assert plugin.__name__ in public
    assert set(public) <= {plugin.__name__, *([settings.__name__] if settings else [])}
    assert plugin.__name__.lower() == name.replace("_", "")
    assert not inspect.isabstract(plugin)


def config(plugin: Any) -> type[BaseModel] | None:
    """A plug-in's settings; compressions have none."""
    return getattr(plugin, "Config", None)


@each_plugin
def test_settings_are_strict_frozen_and_described(kind: str, name: str) -> None:
    settings = config(registry.find(kind, name))
    if settings is None:
        assert kind == "compressions"
        return
    assert issubclass(settings, Settings) and settings.__doc__
    assert settings.model_config["extra"] == "forbid" and settings.model_config["frozen"]
    assert [field for field, info in settings.model_fields.items() if not info.description] == []
    with pytest.raises(ValidationError, match="Extra inputs"):
        settings.model_validate({"no_such_setting": 1})
    assert [model.__name__ for model in nested(settings) if model.model_config.get("extra") != "forbid"] == []
    assert [
        f"{model.__name__}.{f}"
        for model in nested(settings)
        for f, info in model.model_fields.items()
        if not info.description
    ] == []


def nested(settings: type[BaseModel]) -> list[type[BaseModel]]:
    """Models that the fields of a model hold."""
    import typing

    def within(hint: Any) -> list[type[BaseModel]]:
        if inspect.isclass(hint) and issubclass(hint, BaseModel):
            return [hint, *nested(hint)]
        return [model for part in typing.get_args(hint) for model in within(part)]

    return [model for info in settings.model_fields.values() for model in within(info.annotation)]


def contract_of(kind: str) -> type:
    """The suite of a kind: the one class of `include/forebay/testing/KIND.py` that has tests of its own."""
    module = importlib.import_module(f"forebay.testing.{kind}")
    suites = [
        v for v in vars(module).values() if inspect.isclass(v) and v.__module__ == module.__name__ and suite_of(v)
    ]
    assert len(suites) == 1, f"{module.__name__} must hold one suite, found {suites}"
    return suites[0]


def suite_of(cls: type) -> list[str]:
    return [name for name in dir(cls) if name.startswith("test_")]


def heirs(kind: str, name: str) -> list[type]:
    """The test classes of `tests/KIND/test_NAME.py` that inherit the contract."""
    module = importlib.import_module(f"tests.{kind}.test_{name}")
    contract = contract_of(kind)
    return [
        v
        for v in vars(module).values()
        if inspect.isclass(v) and issubclass(v, contract) and v.__module__ == module.__name__
    ]


@each_plugin
def test_a_plugin_is_tested_by_its_contract(kind: str, name: str) -> None:
    found = heirs(kind, name)
    assert found, f"tests/{kind}/test_{name}.py has no class that inherits {contract_of(kind).__name__}"
    assert [
        cls.__name__ for cls in found if not cls.__name__.startswith("Test") or getattr(cls, "__test__", True) is False
    ] == []
    assert f"forebay.{kind}.{name} import" in Path(inspect.getfile(found[0])).read_text("utf-8")
    assert not any(inspect.isabstract(cls) for cls in found)


def waiver(cls: type, test: str, others: list[type]) -> str:
    """Why a class overrides a contract test: a strict xfail, or a skip of what another test of the same plug-in
    runs."""
    marks = [
        m.kwargs for m in getattr(vars(cls)[test], "pytestmark", []) if m.name == "xfail" and m.kwargs.get("strict")
    ]
    if marks:
        return str(marks[0]["reason"])
    skip = re.search(r'pytest\.skip\("(.+?)"\)', inspect.getsource(vars(cls)[test]))
    assert skip and any(test not in vars(other) for other in others if other is not cls), (
        f"{cls.__name__}.{test} silences its contract"
    )
    return skip[1]


def test_contract_tests_are_waived_only_in_sight(capsys: pytest.CaptureFixture[str]) -> None:
    """A contract test that a subclass overrides is a waiver: it has a reason, and is listed here."""
    waivers = {
        (cls.__name__, test): waiver(cls, test, heirs(kind, name))
        for kind, name in FLEET
        for cls in heirs(kind, name)
        for test in set(suite_of(contract_of(kind))) & set(vars(cls))
    }
    with capsys.disabled():
        for (cls_name, test), reason in sorted(waivers.items()):
            print(f"\nwaived: {cls_name}.{test}: {reason}")
    assert set(waivers) == WAIVERS


def test_no_package_of_tests_is_left_over() -> None:
    """Every contract suite belongs to a kind of plug-in."""
    assert {m.name for m in pkgutil.iter_modules(testing.__path__)} == set(registry.KINDS)


def test_every_suite_is_exported() -> None:
    assert {testing.__dict__[name] for name in testing.__all__} == {contract_of(kind) for kind in registry.KINDS}


def test_naming_a_plugin_imports_no_vendor() -> None:
    """One process names them all; each that brings a vendor is told."""
    code = f"""
import json, sys
from forebay import registry
brought = {{}}
for kind in registry.KINDS:
    for name in registry.names(kind):
        registry.find(kind, name)
        new = [v for v in {VENDORS!r} if v in sys.modules and v not in sum(brought.values(), [])]
        if new:
            brought[kind + "." + name] = new
print(json.dumps(brought))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {}
