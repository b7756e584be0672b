"""The steward's question as an Airflow task: Airflow's own human-in-the-loop operator, and what it lets pass that
forebay must not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

REASON = "reason"
_REFUSED = "refused"


class StewardOperator(HITLOperator):
    """Asks until it is answered with a reason, or the time is up; then the default holds.

    Airflow's API takes any answer (its form alone looks at the fields), so the answer is looked at here: without a
    reason the task fails and asks anew. So it does after an answer in the first second of waiting, which Airflow 3.3.2
    cannot take (scheduler_job_runner, `process_executor_events`). Who is notified then is told why; the form shows the
    first question's text as it was (Airflow keeps it).
    """

    def __init__(
        self, *, asked: Callable[[Any, datetime, str], None], response_timeout: timedelta, **kwargs: Any
    ) -> None:
        """`asked` hears of the question with the task's context, the moment when the default holds, and why it is asked
        again (empty: it is not)."""
        super().__init__(response_timeout=response_timeout, **kwargs)
        self.asked, self.patience = asked, response_timeout

    @property
    def serialized_params(self) -> dict[str, dict[str, Any]]:
        """The form's fields. There a reason is required, which is why it has no value yet; a task's own parameter may
        not be so (Airflow looks at each start)."""
        fields: dict[str, dict[str, Any]] = super().serialized_params
        return {
            name: {**field, "schema": {**field["schema"], "type": "string", "minLength": 1}}
            for name, field in fields.items()
        }

    def execute(self, context: Any) -> Any:
        again = _again(context) if context["ti"].try_number > 1 else ""
        if again:
            self.body = f"**{again}**\n\n{self.body}"
        self.asked(context, datetime.now(UTC) + self.patience, again)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Raises `ValueError` when a person gave no reason."""
        if event.get("timedout"):
            return super().execute_complete(context, {**event, "params_input": {REASON: _nobody(self)}})
        if "error" not in event and not str((event["params_input"] or {}).get(REASON) or "").strip():
            who = (event.get("responded_by_user") or {}).get("name") or "somebody"
            context["task_state_store"].set(_REFUSED, f"The answer of {who} was not taken: it had no reason.")
            raise ValueError(
                "answering: a reason is part of the record, and there was none (the question is asked again)"
            )
        return super().execute_complete(context, event)


def form() -> dict[str, Param]:
    """What is asked beside the choice."""
    return {
        REASON: Param(
            None, type=["null", "string"], title="Reason", description="Kept with each record of the decision."
        )
    }


def _again(context: Any) -> str:
    """Why the question is asked again; said once."""
    store = context["task_state_store"]
    refused = store.get(_REFUSED)
    if refused:
        store.delete(_REFUSED)
        return f"Asked again. {refused}"
    return "Asked again: an answer came too early for Airflow to take it, or this task was cleared."


def _nobody(asked: HITLOperator) -> str:
    return f"no answer within {asked.response_timeout}: {', '.join(asked.defaults or ())}"
