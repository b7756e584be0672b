"""How Data Docs are put on a page: the frame that all pages share, with templates of our own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from forebay.model import JsonDict
from forebay.support import page
from forebay.support.words import counted, printable

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

HERE = Path(__file__).parent
OWN = HERE / "docs.css"


def render(template: str, **values: Any) -> str:
    """A page of a template that escapes what it is given."""
    return _environment().get_template(template).render(**values)


def frame() -> JsonDict:
    """What the shared frame wants."""
    return {"style": page.style(OWN), "policy": page.policy(OWN)}


def loader() -> BaseLoader:
    """Our templates and the frame."""
    from jinja2 import ChoiceLoader, DictLoader, FileSystemLoader

    return ChoiceLoader([DictLoader({page.NAME: page.template()}), FileSystemLoader(HERE / "templates")])


def readable(text: str) -> str:
    """A name as its partner wrote it: without percent-encoding, and with what a page would not show written as its
    escape."""
    return printable(unquote(text))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    made = Environment(
        autoescape=True, loader=loader(), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"readable": _readable, "address": quote, "moment": _moment, "run": _run, "counted": counted}
    made.globals |= frame()
    return made


def _readable(value: object) -> str:
    return readable(str(value))


def _moment(facts: JsonDict) -> str:
    return readable(str(facts["checked"])[:19].replace("T", " "))


def _run(facts: JsonDict, pipeline: str) -> str:
    return readable(str(facts["run"]).removeprefix(f"{pipeline}/"))
