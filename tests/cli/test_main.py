from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from forebay import __version__
from forebay.cli.common import day, exit_codes
from forebay.cli.main import COMMANDS, app
from forebay.errors import (
    BrokerUnavailableError,
    ConfigError,
    CorruptFileError,
    Fault,
    ForebayError,
    QualityError,
    SettingsError,
)


def call(*args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(args))
    return result.exit_code, result.stdout, result.stderr


def test_help_names_every_command() -> None:
    code, out, _ = call("--help")
    assert code == 0
    assert [name for name in COMMANDS if name not in out] == []


def test_help_imports_no_command_and_no_vendor() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from forebay.cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "vendors = ('duckdb', 'pyarrow', 'confluent_kafka', 'boto3', 'great_expectations', 'sqlalchemy', "
        "'forebay.verbs', 'forebay.cli.run')\n"
        "print([name for name in vendors if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_its_module_and_helps(name: str) -> None:
    assert importlib.import_module(f"forebay.cli.{COMMANDS[name].module}").app
    code, out, _ = call(name, "--help")
    assert code == 0
    assert f"forebay {name} " in " ".join(out.split()) or f"root {name} " in " ".join(out.split())


def test_version() -> None:
    assert call("--version") == (0, f"forebay {__version__}\n", "")


def test_a_slip_in_a_commands_name_says_what_was_meant() -> None:
    code, out, err = call("chekc")
    assert (code, out) == (2, "")
    assert "Did you mean 'check'?" in err


@pytest.mark.parametrize(
    "args",
    [("chekc", "--json"), ("check", "--jsn", "--json"), ("run", "--json"), ("run", "x", "--json", "--date", "soon")],
)
def test_usage_errors_are_one_json_document_too(args: tuple[str, ...]) -> None:
    code, out, err = call(*args)
    assert (code, json.loads(out)["error"]["type"]) == (2, "UsageError")
    assert err


def run(error: BaseException, *, as_json: bool = False) -> int:
    """The exit code that a command ends with when `error` happens in it."""
    with pytest.raises(typer.Exit) as caught, exit_codes(as_json):
        raise error
    return caught.value.exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ForebayError("a"), 1),
        (CorruptFileError("a"), 1),
        (ConfigError("a"), 2),
        (QualityError("a"), 3),
        (BrokerUnavailableError("a"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_kind_of_error_has_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(error) == code
    assert capsys.readouterr().out == ""


def test_an_error_is_words_on_standard_error_and_a_document_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(CorruptFileError("reading `a [b].gz`: cut off", uri="a [b].gz"), as_json=True)
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "error": {"type": "CorruptFileError", "message": "reading `a [b].gz`: cut off", "where": {"uri": "a [b].gz"}}
    }
    assert err == "CorruptFileError reading `a [b].gz`: cut off\n"


def test_faults_of_files_stay_apart_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    run(SettingsError((Fault("a.yaml", 3, "wrong"), Fault("b.yaml", None, "worse"))), as_json=True)
    assert json.loads(capsys.readouterr().out)["error"]["faults"] == [
        {"path": "a.yaml", "line": 3, "message": "wrong"},
        {"path": "b.yaml", "line": None, "message": "worse"},
    ]


def test_a_bug_keeps_its_traceback_and_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), exit_codes(as_json=True):
        _ = 1 / 0
    assert json.loads(capsys.readouterr().out) == {
        "error": {"type": "ZeroDivisionError", "message": "division by zero"}
    }


def test_a_bug_exits_with_1() -> None:
    code = "from forebay.cli.common import exit_codes\nwith exit_codes(): 1 / 0"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_an_exit_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(typer.Exit(3), as_json=True) == 3
    assert capsys.readouterr().out == ""


def test_days_are_iso_dates() -> None:
    assert day("2013-01-31").isoformat() == "2013-01-31"
    with pytest.raises(typer.BadParameter, match=r"`31\.1\.2013` is not a day"):
        day("31.1.2013")
