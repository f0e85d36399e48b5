"""What a form that asks for a touch carries: what came back, and how often nothing good did. Never decides anything by it."""

from typing import Any

from webapp.accounts.ceremonies import Answer, Ceremony
from webapp.web import wording
from webapp.web.state import Request


def answer(request: Request) -> Answer:
    """What came back from the browser."""
    form = request.state.form
    return Answer(form.get("ceremony", ""), form.get("credential", ""), form.get("failure", ""))


def shown(request: Request, ceremony: Ceremony | None, failure: str | None) -> dict[str, Any]:
    """What every panel shows that asks for a touch: the ceremony, or why the one before failed and how often by now."""
    before = _failures(request)
    if failure is None:
        return {"ceremony": ceremony, "failure": None, "failures": before}
    count = min(9, before + 1)
    return {"ceremony": None, "failure": wording.failure(failure, count), "failures": count}


def _failures(request: Request) -> int:
    """How often it has failed before, as the form carries it along."""
    carried = request.state.form if request.method == "POST" else request.query_params
    text = carried.get("failures", "")
    return int(text) if text in tuple("123456789") else 0
