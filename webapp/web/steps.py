"""The steps of binding as panels: prove that it is you, then touch the key. Shared by the views before and behind a step.

A session that must be proven is shown the step that can prove it: a code by e-mail while no key is bound, a touch of a bound key
otherwise. `then` is the path that the person was on the way to; without it they are here to bind a key.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from typing import Any

from starlette.responses import Response

from backends.records import Account, SecurityKey
from webapp import clock
from webapp.accounts import codes, domains, keys, opening, preview, required, sessions, ways
from webapp.accounts import recovery as recovery_codes
from webapp.accounts.ceremonies import Ceremony
from webapp.accounts.codes import Purpose
from webapp.languages import Text, _
from webapp.settings import Settings
from webapp.web import client, guards, responses, touches
from webapp.web.guards import Authenticated, ToBind
from webapp.web.state import Request
from webapp.web.wording import EXPIRED, NO_TRIES


@dataclass(frozen=True, slots=True)
class Touch:
    """A touch that is asked for in the row, of the key with this slug or of any. The form goes where it came from.

    `others` are the domains of other keys: a browser asks for those of one at a time.
    """

    slug: str
    title: Text
    words: Text
    path: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeStep:
    """Where a code is typed: `to` which address it went, empty before; in how many seconds it expires, 0 where none can be typed
    (any more), and in how many another mail may leave; what is wrong.
    """

    to: str
    expires_in: int
    again_in: int
    error: Text | None


def next_step(request: Request, who: ToBind, then: str = "", *, notice: Text | None = None) -> Response:
    """The panel that this session has reached; `notice` says why somebody is here."""
    if guards.is_proven(who, now=bool(then)):
        return responses.go_to(request, then) if then else bind(request, who, notice=notice)
    return prove(request, who, then, notice=notice) if _keys(who) else verify(request, who, then, notice=notice)


def verify(
    request: Request,
    who: ToBind,
    then: str,
    *,
    error: Text | None = None,
    sent: Text | None = None,
    notice: Text | None = None,
    wait: int = 0,
    status: int = 200,
) -> Response:
    """Send a code, or type the one that was sent. `wait`: seconds until another may be asked for, where that is longer."""
    code = code_step(who, "bind", who.account.email, error=error, wait=wait)
    headers = {"retry-after": str(wait)} if wait else None
    return _panel(request, who, "verify", status, headers=headers, then=then, code=code, sent=sent, notice=notice)


def code_step(who: ToBind, purpose: Purpose, email: str | None, *, error: Text | None, wait: int = 0) -> CodeStep:
    """What a page shows on which a code is typed. Who came too late, or guessed too often, is told so without having to try."""
    account, now = who.account, clock.now()
    code = codes.waiting(account, who.session.id, purpose, now, email)
    late = codes.expired(account, who.session.id, purpose, now, email)
    over = EXPIRED if late else NO_TRIES if code and not code.tries_left else None
    return CodeStep(
        to=getattr(code or late, "email", ""),
        expires_in=ceil((code.expires_at - now).total_seconds()) if code and code.tries_left else 0,
        again_in=max(wait, codes.again_in(account, purpose, now)),
        error=error or over,
    )


def prove(
    request: Request,
    who: ToBind,
    then: str,
    *,
    domain: str = "",
    ceremony: Ceremony | None = None,
    failure: str | None = None,
    notice: Text | None = None,
    status: int = 200,
) -> Response:
    """Touch a key that is bound."""
    asked = touches.shown(request, ceremony, failure)
    return _panel(request, who, "prove", status, then=then, notice=notice, ask=_ask(who, domain), **asked)


def bind(
    request: Request,
    who: ToBind,
    *,
    label: str = "",
    ceremony: Ceremony | None = None,
    failure: str | None = None,
    notice: Text | None = None,
    status: int = 200,
) -> Response:
    """Name the new key and touch it."""
    label = label or suggestion(request, who)
    return _panel(request, who, "bind", status, then="", label=label, notice=notice, **touches.shown(request, ceremony, failure))


def suggestion(request: Request, who: ToBind) -> str:
    """What a new key is called until its owner says otherwise."""
    return keys.suggestion(who.account, client.language(request).say(_("Security key")))


def again(request: Request, who: ToBind, key: SecurityKey, wanted: str) -> Response:
    """Bind a key of an earlier domain here too, or go on to what was wanted."""
    return _panel(request, who, "again", 200, then="", key=responses.keys([key])[0], wanted=wanted)


def unbind(
    request: Request,
    who: ToBind,
    key: SecurityKey,
    *,
    domain: str = "",
    ceremony: Ceremony | None = None,
    failure: str | None = None,
    error: Text | None = None,
    status: int = 200,
) -> Response:
    """The unbind dialog: first the touch for this act, then the question."""
    return responses.panel(
        request,
        "unbind.html",
        "_unbind.html",
        status,
        key=responses.keys([key])[0],
        only=len(who.account.keys) == 1,
        proven=guards.is_proven(who, now=True),
        ask=_ask(who, domain),
        error=error,
        **touches.shown(request, ceremony, failure),
        **context(request, who),
    )


def row(
    request: Request,
    who: Authenticated,
    *,
    editing: str | None = None,
    error: Text | None = None,
    notice: Text | None = None,
    touch: Touch | None = None,
    ceremony: Ceremony | None = None,
    failure: str | None = None,
    lit: str = "",
    status: int = 200,
) -> Response:
    """The row of the Security Settings. `editing` is the slug of a key that gets a name, `lit` that of one which was touched."""
    shown: dict[str, Any] = {"editing": editing, "error": error, "notice": notice, "touch": touch, "lit": lit}
    asked = touches.shown(request, ceremony, failure)
    return responses.panel(request, "security.html", "_row.html", status, **shown, **asked, **context(request, who))


def touched(request: Request, who: Authenticated, account: Account, key: SecurityKey | None) -> Response:
    """The row in which this key lights up, once it was touched."""
    return row(request, replace(who, account=account), lit=keys.slug(key.id) if key else "")


def gone(request: Request) -> Response:
    """The key that the address names is not bound to this account (any more)."""
    link = (responses.url(request, "account.security"), _("Back to Security Settings"))
    return responses.refusal(request, 404, _("That key is not bound"), _("It may have been unbound in another tab."), link=link)


def context(request: Request, who: ToBind) -> dict[str, Any]:
    """What every page about keys shows."""
    settings = request.state.settings
    return {
        "account": who.account,
        "key_required": required.of(who.account, settings),
        "owes_binding": sessions.owes_binding(who.account, clock.now(), settings),
        "keys": responses.keys(who.account.keys),
        "domain": settings.rp_id,
        "in_preview": preview.includes(settings, who.account),
        "device": responses.device(request),
        "ways": ways.back(who.account),
        "wait_hours": hours(settings.wait),
        "codes_left": recovery_codes.left(who.account),
        "offer": recovery_codes.offer(settings, who.account.id, who.session.id, clock.now()),
    }


def recovery(settings: Settings, account: Account, typed: str = "") -> dict[str, Any]:
    """What the page shows on which a recovery code is typed, at the logon and in a rehearsal of it; `typed` was refused."""
    return {
        "username": account.username,
        "made": bool(account.recovery_codes),
        "left": recovery_codes.left(account),
        "typed": typed[: recovery_codes.MAX_TEXT],
        "wait_hours": 0 if opening.is_pass(account) else hours(settings.wait),
    }


def hours(wait: timedelta | None) -> int:
    """A wait as people count it; 0 where there is none."""
    return int(wait.total_seconds() // 3600) if wait else 0


def _ask(who: ToBind, domain: str) -> domains.Choice:
    """Of which domain's keys one is asked for."""
    return domains.choose(who.settings, sessions.keys_in_force(who.account), domain)


def _keys(who: ToBind) -> bool:
    return bool(sessions.keys_in_force(who.account))


def _panel(
    request: Request, who: ToBind, step: str, status: int, *, then: str, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    more |= {"step": step, "then": then, "app": responses.app_ahead(request, then), **context(request, who)}
    return responses.panel(request, "bind.html", f"_{step}.html", status, headers, **more)
