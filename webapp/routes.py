"""The route table, which tells the story; and what each refusal becomes. Nothing is decided here."""

import logging
import re
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Route

from backends.protocol import Unavailable
from webapp import logs
from webapp.accounts import limits, nonces, refusals
from webapp.accounts.commits import Uncertain
from webapp.accounts.decision import AccountGone
from webapp.accounts.limits import TooOften
from webapp.accounts.passwords import Busy
from webapp.accounts.sessions import AlreadySignedIn, BindingOwed, KeyOwed, NotProven, NotSignedIn
from webapp.languages import Text, _
from webapp.views import (
    account,
    activity,
    app_check,
    app_host,
    apps,
    binding,
    email,
    forgotten,
    health,
    helpdesk,
    joining,
    language,
    logon,
    mislaying,
    not_me,
    password,
    proving,
    recovery,
    sessions,
    trying,
)
from webapp.web import client, cookies, guards, headers, paths, responses
from webapp.web.forms import BadForm
from webapp.web.guards import View
from webapp.web.state import Request

log = logging.getLogger("keystead")

U2F = "/account/security/u2f"
ROUTES: list[tuple[str, str, View]] = [
    ("GET", "/logon", logon.show),
    ("POST", "/logon", logon.submit),
    ("GET", "/logon/key", logon.key),
    ("POST", "/logon/key/begin", logon.begin_key),
    ("POST", "/logon/key/finish", logon.finish_key),
    ("GET", "/logon/recovery", logon.recovery_code),
    ("POST", "/logon/recovery", logon.use_recovery_code),
    ("GET", "/logon/wait", logon.wait),
    ("POST", "/logon/wait", logon.ask_to_open),
    ("GET", "/logon/help", helpdesk.show),
    ("POST", "/logon/help", helpdesk.ask),
    ("POST", "/logon/help/enter", helpdesk.enter),
    ("GET", "/logon/forgotten", forgotten.show),
    ("POST", "/logon/forgotten", forgotten.submit),
    ("GET", "/logon/reset", forgotten.reset),
    ("POST", "/logon/reset", forgotten.submit_reset),
    ("POST", "/logon/known/ask", forgotten.ask_to_know),
    ("GET", "/logon/known", forgotten.known),
    ("POST", "/logon/known", forgotten.make_known),
    ("GET", "/join", joining.show),
    ("POST", "/join", joining.submit),
    ("GET", "/join/account", joining.choose),
    ("POST", "/join/account", joining.join),
    ("GET", "/", account.root),
    ("GET", "/account", account.show),
    ("GET", "/account/security", account.security),
    ("GET", U2F, binding.show),
    ("POST", f"{U2F}/code", proving.send_code),
    ("POST", f"{U2F}/verify", proving.verify),
    ("POST", f"{U2F}/prove/begin", proving.begin_prove),
    ("POST", f"{U2F}/prove/finish", proving.finish_prove),
    ("POST", f"{U2F}/bind/begin", binding.begin_bind),
    ("POST", f"{U2F}/bind/finish", binding.finish_bind),
    ("GET", f"{U2F}/done", binding.done),
    ("GET", f"{U2F}/row", binding.row),
    ("GET", f"{U2F}/dialog", binding.dialog),
    ("GET", U2F + "/keys/{key}/again", binding.again),
    ("POST", U2F + "/keys/{key}/name", binding.name_key),
    ("POST", U2F + "/keys/{key}/reinstate", binding.reinstate),
    ("GET", f"{U2F}/try", trying.which),
    ("POST", f"{U2F}/try", trying.tell_which),
    ("GET", U2F + "/keys/{key}/try", trying.begin),
    ("POST", U2F + "/keys/{key}/try", trying.finish),
    ("GET", U2F + "/keys/{key}/mislaid", mislaying.show),
    ("POST", U2F + "/keys/{key}/mislaid", mislaying.mislay),
    ("GET", U2F + "/keys/{key}/found", mislaying.look),
    ("POST", U2F + "/keys/{key}/found", mislaying.find),
    ("GET", U2F + "/keys/{key}/unbind", binding.confirm_unbind),
    ("POST", U2F + "/keys/{key}/unbind", binding.unbind),
    ("GET", "/account/recovery", recovery.show),
    ("POST", "/account/recovery", recovery.make),
    ("POST", "/account/recovery/confirm", recovery.confirm),
    ("GET", "/account/recovery/rehearsal", recovery.rehearsal),
    ("POST", "/account/recovery/rehearsal", recovery.rehearse),
    ("GET", "/account/sessions", sessions.show),
    ("POST", "/account/sessions/end-others", sessions.end_others),
    ("POST", "/account/sessions/{id}/end", sessions.end),
    ("GET", "/account/activity", activity.show),
    ("GET", "/account/activity/{id}", activity.one),
    ("POST", "/account/activity/{id}/take-back", activity.take_back),
    ("GET", "/account/password", password.change),
    ("POST", "/account/password", password.submit_change),
    ("GET", "/account/email", email.show),
    ("POST", "/account/email", email.send_code),
    ("POST", "/account/email/verify", email.verify),
    ("GET", "/account/apps", apps.show),
    ("GET", "/apps/enter", apps.enter),
    ("POST", "/apps/touch/begin", apps.begin_touch),
    ("POST", "/apps/touch/finish", apps.finish_touch),
    ("GET", paths.CHECK, app_check.check),  # which middleware.Checks answers, without going through all of this
    ("GET", "/.keystead/begin", app_host.begin),
    ("GET", "/.keystead/end", app_host.end),
    ("GET", "/.keystead/leave", app_host.leave),
    ("GET", "/.keystead/whoami", app_host.whoami),
    ("POST", "/language", language.choose),
    ("POST", "/logoff", logon.log_off),
    ("GET", "/not-me", not_me.show),
    ("POST", "/not-me", not_me.freeze),
    ("GET", "/healthz", health.healthz),
    ("GET", "/readyz", health.readyz),
]
"""In the order in which people come by, which is that in which they are tried: a key logon is found at once."""

SMALLER = [Middleware(GZipMiddleware, minimum_size=500, compresslevel=5)]
"""For pages and files. A form is answered by a panel or a redirect, which travel in one packet or two as they are."""


def route(method: str, path: str, view: View) -> Route:
    """Routes are named as their views: `binding.finish_bind`."""
    name = f"{view.__module__.rpartition('.')[2]}.{view.__name__}"
    return Route(path, view, methods=[method], name=name, middleware=SMALLER if method == "GET" else None)


async def cross_origin(scope: Any, receive: Any, send: Any) -> None:
    """A form that was not sent from one of our pages."""
    text = _("This was not sent from a page of this site, so it was not done. Open the site by its usual address and try again.")
    request = Request(scope, receive)
    link = (request.state.settings.public_url, _("Open the site"))
    await responses.refusal(request, 403, _("Not from here"), text, link=link)(scope, receive, send)


async def too_old(scope: Any, receive: Any, send: Any, found: str) -> None:
    """A browser that cannot run our pages."""
    await responses.page(Request(scope, receive), "browser.html", 403, found=found)(scope, receive, send)


async def _not_signed_in(request: Request, why: Exception) -> Response:
    """To the logon, and back afterwards. Who had a session is told that it ended.

    A page that htmx works on is loaded anew: its session may just have got a new cookie in another tab. One that answered a form
    would send that form again, and one that waits for a key to be bound would no longer wait.
    """
    page = paths.referred(request)
    if responses.by_htmx(request) and request.url.path == responses.url(request, "binding.dialog"):
        return responses.go_to(request, _page(request))
    if responses.by_htmx(request) and (not page or paths.opens(request, page)):
        return Response(None, 200, {"hx-refresh": "true"})
    wanted, ended = _wanted(request), request.method == "POST" or cookies.token(request)
    query = {"next": wanted, "notice": "ended" if ended else ""}
    return responses.go(request, "logon.show", {name: text for name, text in query.items() if text})


async def _key_owed(request: Request, why: Exception) -> Response:
    wanted = _wanted(request)
    return responses.go(
        request, "logon.key", {"next": wanted} if wanted not in ("", responses.url(request, "account.show")) else {}
    )


def _wanted(request: Request) -> str:
    """Where somebody was; of the logon's steps, what they lead to."""
    page = _page(request)
    return _ahead(request) if not page or paths.is_below(page, responses.url(request, "logon.show")) else page


def _page(request: Request) -> str:
    """The page that was asked for, or that the form stands on; if that does not open, what the form leads to, or a page above."""
    if request.method == "GET":
        return paths.local(request, f"{request.url.path}?{request.url.query}".rstrip("?"))
    page = re.sub(r"[?&]notice=[^&]*$", "", paths.referred(request, with_query=True))  # what was said need not be said again
    return page if paths.opens(request, page) else _ahead(request) or paths.nearest(request, page)


def _ahead(request: Request) -> str:
    """What a step leads to, as it carries it along."""
    carried = request.state.form if "form" in request.state else request.query_params
    return paths.local(request, carried.get("next") or carried.get("then", ""))


async def _binding_owed(request: Request, why: Exception) -> Response:
    return responses.go(request, "binding.show")


async def _already_signed_in(request: Request, why: Exception) -> Response:
    return responses.go(request, "account.show")


async def _not_proven(request: Request, why: Exception) -> Response:
    """To the step that gives the proof, and then back to the page that wanted it. Who lost it meanwhile is told why."""
    page = _page(request)
    query = {"then": page} if page and page.partition("?")[0] != responses.url(request, "binding.show") else {}
    return responses.go(request, "binding.show", query if request.method == "GET" else query | {"notice": "late"})


_BAD_FORMS = {
    400: _("That form could not be read."),
    408: _("It did not arrive within ten seconds, and nothing was done. Check your connection, then try again."),
    413: _("That is more than this page takes. Nothing was done."),
    415: _("This page takes an ordinary form. Nothing was done."),
}
_INSTEAD = {
    limits.KEY_STEP.name: ("logon.recovery_code", _("Use a recovery code")),
    limits.RECOVERY.name: ("logon.key", _("Use your key")),
    limits.PASSWORD_CHANGE.name: ("forgotten.show", _("Set a new password by mail")),
    limits.RESET_ASKER.name: ("logon.show", _("Back to the logon")),
}
"""What else there is for whoever has to wait, by the limit."""


def _back(request: Request) -> tuple[str, Text] | None:
    """To the page that the form stands on; None if it is still there, or nobody knows which."""
    page = "" if request.method == "GET" or responses.by_htmx(request) else _page(request)
    return (page, _("Back to the page")) if page else None


async def _bad_form(request: Request, bad: Any) -> Response:
    title = _("That could not be read")
    return await _before_judging(request, bad.status, title, _BAD_FORMS[bad.status], link=_back(request))


async def _too_often(request: Request, often: Any) -> Response:
    refusals.record(client.context(request), "attempt", often.account_id or refusals.NOBODY, why=often.limit)
    rehearses = often.limit == limits.RECOVERY.name and "account" in request.state
    route, words = _INSTEAD.get("" if rehearses else often.limit, ("account.show", _("Go to your account")))
    link = (responses.url(request, route), words)
    return responses.refusal(request, 429, _("Too many attempts"), _("Nothing is lost."), link=link, wait=often.seconds)


async def _too_many(request: Request, why: Exception) -> Response:
    return responses.refusal(request, 429, _("Too many attempts"), _("Nothing is lost."), wait=300)


async def _busy(request: Request, busy: Any) -> Response:
    text = _("Very many people are logging on at the moment. Nothing was changed. Try again in a few seconds.")
    return responses.refusal(
        request, 503, _("Back in a moment"), text, link=_back(request), wait=busy.retry_after, looks_again=True
    )


async def _unavailable(request: Request, unavailable: Exception) -> Response:
    log.error("backend unavailable: %s", unavailable)
    text = _("The place where accounts are kept does not answer at the moment. Nothing was changed. Try again in a few seconds.")
    return responses.refusal(request, 503, _("Back in a moment"), text, link=_back(request), wait=5, looks_again=True)


async def _uncertain(request: Request, uncertain: Exception) -> Response:
    log.error("a commit of unknown outcome: %s", uncertain.__cause__)
    text = _(
        "The place where accounts are kept stopped answering while this was being done. It may or may not have been done: "
        "look at your account before you try again."
    )
    link = (responses.url(request, "account.show"), _("Look at your account"))
    return responses.refusal(request, 503, _("We do not know"), text, link=link, headers={"retry-after": "5"})


async def _http(request: Request, refused: Any) -> Response:
    titles = {
        404: (_("There is no such page"), _("Check the address, or go to your account.")),
        405: (
            _("This page opens otherwise"),
            _("What this address does begins at another page. Go to your account, and start from there."),
        ),
    }
    title, text = titles.get(refused.status_code, (_("That did not work"), _("The request could not be understood.")))
    return await _before_judging(request, refused.status_code, title, text, headers=refused.headers)


async def _before_judging(request: Request, status: int, title: Text, text: Text, **more: Any) -> Response:
    """A refusal for which nobody has looked yet who is logged on. A page has that in its head."""
    if not responses.by_htmx(request) and not paths.is_for_apps(request.scope):
        await guards.look(request)
    return responses.refusal(request, status, title, text, **more)


async def _our_fault(request: Request, why: Exception) -> Response:
    """We are wrong. Starlette raises the error again, so that the server logs its traceback, under the id that the page shows."""
    text = _("Something went wrong on our side. If it happens again, ask for help.")
    return responses.refusal(
        request, 500, _("Our mistake"), text, incident=logs.request_id.get(), headers=headers.secure(request.state.settings)
    )


REFUSALS: dict[Any, Any] = {
    NotSignedIn: _not_signed_in,
    AccountGone: _not_signed_in,
    KeyOwed: _key_owed,
    BindingOwed: _binding_owed,
    AlreadySignedIn: _already_signed_in,
    NotProven: _not_proven,
    BadForm: _bad_form,
    TooOften: _too_often,
    nonces.TooMany: _too_many,
    Busy: _busy,
    Unavailable: _unavailable,
    Uncertain: _uncertain,
    HTTPException: _http,
    Exception: _our_fault,
}
