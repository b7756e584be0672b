"""HTML from values: the one place where pages are made. Everything is escaped; nothing runs, and nothing is loaded.

Values come from files that partners wrote. Jinja escapes what means something to HTML; what means something to eyes
(control characters, reversed text) is written out before that. The content security policy allows our own style sheet,
by its hash, and nothing else at all.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from forebay.pages.values import LOOKS, TROUBLE, NightHistory, PipelineHistory, State, Summary
from forebay.pages.views import IndexView, PipelineView
from forebay.support import page
from forebay.support.words import printable

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
OWN = HERE / "pages.css"


def index(summaries: list[Summary], now: datetime, data_docs: bool) -> str:
    """The project's page. `data_docs`: whether there is `../data_docs/index.html`."""
    return _page("index.html", view=IndexView.of(summaries, now), now=now, data_docs=data_docs)


def pipeline(history: PipelineHistory, now: datetime) -> str:
    """A pipeline's page."""
    return _page("pipeline.html", view=PipelineView.of(history), now=now)


def night(history: NightHistory, now: datetime) -> str:
    """A night's page, which stands alone: the rows are in it."""
    return _page("night.html", history=history, now=now)


def visible(value: Any) -> Any:
    """Text with every character that a page would not show written as its escape: control characters, line ends,
    reversed writing."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return printable(value)


def _page(name: str, **values: Any) -> str:
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, DictLoader, Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        autoescape=True,
        loader=ChoiceLoader([DictLoader({page.NAME: page.template()}), FileSystemLoader(HERE / "templates")]),
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "moment": moment, "address": quote, "slug": slug, "figure": figure}
    made.globals |= {
        "looks": LOOKS,
        "State": State,
        "trouble": TROUBLE,
        "policy": page.policy(OWN),
        "style": Markup(page.style(OWN)),
    }  # our own files
    return made


def percent(share: float | None) -> str:
    """A share for people: `0 %`, `0.0012 %`, `12.3 %`; nothing for None."""
    return "" if share is None else f"{share * 100:.3g} %"


def figure(number: float) -> str:
    """A number that a rule observed: `48,123`, `0.1234`."""
    return f"{number:,.0f}" if abs(number) >= 100_000 else f"{number:,.6g}"


def moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if value else ""


def slug(state: State) -> str:
    """A state's class in the style sheet."""
    return state.name.lower()
