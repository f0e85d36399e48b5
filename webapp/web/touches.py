"""A touch, from the form that asks for it to what came back. How often nothing good did is carried along, and decides nothing."""

from typing import Any, ParamSpec, TypedDict

from backends.protocol import KeyTaken
from backends.records import Account, SecurityKey
from webapp.accounts import ceremonies
from webapp.accounts.ceremonies import Answer, Ceremony, Failed, Purpose, Use
from webapp.accounts.decision import Operation
from webapp.web import wording
from webapp.web.guards import Somebody
from webapp.web.state import Request

P = ParamSpec("P")


class Begun(TypedDict, total=False):
    """What a panel shows that asks for a touch: the ceremony, or why no key can be asked."""

    ceremony: Ceremony
    failure: str
    status: int


def begin(who: Somebody, purpose: Use, keys: tuple[SecurityKey, ...], domain: str = "") -> Begun:
    """A ceremony that one of these keys can answer, of this domain if there are any of it."""
    try:
        ceremony = ceremonies.begin_use(who.settings, purpose, who.account, who.session.id, keys, domain)
    except Failed as failed:
        return {"failure": failed.kind, "status": 422}
    who.request.state.metrics.ceremony(purpose, "begun")
    return {"ceremony": ceremony}


async def finish(who: Somebody, purpose: Purpose, operation: Operation[P], *args: P.args, **kwargs: P.kwargs) -> Account:
    """The account once the touch has done this; Failed if it did not. Either is counted."""
    try:
        account = await who.change(operation, *args, **kwargs)
    except (Failed, KeyTaken) as refused:
        failed = refused if isinstance(refused, Failed) else Failed("taken")
        who.request.state.metrics.ceremony(purpose, failed.kind)
        raise failed from None
    who.request.state.metrics.ceremony(purpose, "accepted")
    return account


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
