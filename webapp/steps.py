"""The steps of binding as panels: prove that it is you, then touch the key. Shared by the views that stand before and behind a
step.

A session that must be proven is shown the step that can prove it: a code by e-mail while no key is bound, a touch of a bound
key otherwise. `then` is the path that the person was on the way to; without it they are here to bind a key.
"""

import unicodedata
from dataclasses import dataclass
from math import ceil
from typing import Any

from starlette.responses import Response

from backends.records import SecurityKey, VerificationCode
from webapp import clock, codes, guards, pages, preview, verification
from webapp.ceremonies import Ceremony, Failure
from webapp.guards import Proven, SignedIn
from webapp.state import Request

PURPOSE = "bind"
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Waiting:
    """A code that was sent and may still be typed; durations in whole seconds."""

    resend_in: int
    expires_in: int
    tries_left: int


async def next_step(request: Request, who: SignedIn, then: str = "", *, notice: str | None = None) -> Response:
    """The panel that this session has reached; `notice` says why somebody who is not proven is here."""
    if proven := guards.proof_of(who):
        return pages.go_to(request, then) if then else bind(request, proven)
    return prove(request, who, then, notice=notice) if who.keys else await verify(request, who, then, notice=notice)


async def verify(
    request: Request,
    who: SignedIn,
    then: str,
    *,
    error: str | None = None,
    sent: str | None = None,
    notice: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """Send a code, or type the one that was sent."""
    code = waiting(await verification.waiting(request, who, PURPOSE, who.account.email))
    return _panel(request, who, "verify", status, headers=headers, then=then, code=code, error=error, sent=sent, notice=notice)


def prove(
    request: Request,
    who: SignedIn,
    then: str,
    *,
    ceremony: Ceremony | None = None,
    failure: Failure | None = None,
    notice: str | None = None,
    status: int = 200,
) -> Response:
    """Touch a key that is bound."""
    return _panel(request, who, "prove", status, then=then, ceremony=ceremony, failure=failure, notice=notice)


def bind(
    request: Request,
    who: Proven,
    *,
    label: str = "",
    ceremony: Ceremony | None = None,
    failure: Failure | None = None,
    status: int = 200,
) -> Response:
    """Name the new key and touch it."""
    return _panel(request, who, "bind", status, then="", label=label or suggestion(who), ceremony=ceremony, failure=failure)


def unbind(
    request: Request,
    who: SignedIn,
    key: SecurityKey,
    *,
    ceremony: Ceremony | None = None,
    failure: Failure | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    """The unbind dialog: first the proof, then the question."""
    return pages.panel(
        request,
        "unbind.html",
        "_unbind.html",
        status,
        key=pages.keys([key])[0],
        last=len(who.keys) == 1,
        proven=guards.proof_of(who) is not None,
        ceremony=ceremony,
        failure=failure,
        error=error,
        **context(request, who),
    )


def gone(request: Request) -> Response:
    """The key that the address names is not bound to this account (any more)."""
    link = (pages.url(request, "account.security"), "Back to Security Settings")
    return pages.refusal(request, 404, "That key is not bound", "It may have been unbound in another tab.", link=link)


def context(request: Request, who: SignedIn) -> dict[str, Any]:
    """What every page about keys shows."""
    asked = preview.includes(request.state.settings, who.account)
    return {"account": who.account, "keys": pages.keys(who.keys), "in_preview": asked, "device": pages.device(request)}


def waiting(code: VerificationCode | None) -> Waiting | None:
    """The code as a page shows it."""
    if code is None:
        return None
    now = clock.now()
    return Waiting(
        resend_in=max(0, ceil((code.sent_at + codes.RESEND_AFTER - now).total_seconds())),
        expires_in=ceil((code.expires_at - now).total_seconds()),
        tries_left=code.tries_left,
    )


def tidy(name: str) -> str:
    """A name as it may be shown: one line, no control or direction characters (category C), not too long."""
    shown = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in unicodedata.normalize("NFC", name))
    return " ".join(shown.split())[:LONGEST_NAME].strip()


def suggestion(who: SignedIn) -> str:
    """A name that none of the keys has yet."""
    taken = {key.name for key in who.keys}
    names = ("Security key", *(f"Security key {n}" for n in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)


def _panel(
    request: Request, who: SignedIn, step: str, status: int, *, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    return pages.panel(request, "bind.html", f"_{step}.html", status, headers, step=step, **more, **context(request, who))
