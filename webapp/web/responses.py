"""HTML out: a page, or the one panel of it that htmx asked for. The only place that knows whether htmx asked. Never trusts
markup.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from backends.records import SecurityKey
from webapp import languages, templating
from webapp.accounts import apps, identities, sessions
from webapp.accounts.keys import slug
from webapp.languages import Language, Text, _
from webapp.web import browsers, client, paths
from webapp.web.state import Request


def page(
    request: Request, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> Response:
    """The whole page."""
    return _answer(request, template, status, headers, context)


def panel(
    request: Request, template: str, panel: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> Response:
    """The panel if htmx asked, the page that holds it otherwise."""
    name = panel if by_htmx(request) else template
    return _answer(request, name, status, headers, context)


def go(request: Request, route: str, query: Mapping[str, str] | None = None, **params: str) -> Response:
    """On to another page of ours, by its route's name."""
    path = url(request, route, **params)
    return go_to(request, f"{path}?{urlencode(query)}" if query else path)


def go_to(request: Request, path: str) -> Response:
    """On to another page, by a path that is known to be ours."""
    if by_htmx(request):
        return Response(None, 200, {"hx-redirect": path, "vary": "hx-request"})
    return RedirectResponse(path, 303, {"vary": "hx-request"})


def refusal(
    request: Request,
    status: int,
    title: Text,
    text: Text,
    *,
    link: tuple[str, Text] | None = None,
    wait: int = 0,
    looks_again: bool = False,
    incident: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """No, and why, and where to go: to one's account, where no better `link` is known.

    `wait`: for how many seconds it makes no sense to try again. With `looks_again` the page looks by itself whether it is over.
    Where htmx asked, the words go to the place that every page has for them, and the panel stays as it is. At an app's host there
    is no page of ours, so that it is the words and nothing else.
    """
    after = {**({"retry-after": str(wait)} if wait else {}), **(headers or {})}
    if paths.is_for_apps(request.scope):
        say = client.language(request).plain
        return PlainTextResponse(f"{say(title)}. {say(text)}\n", status, after)
    fragment = by_htmx(request)
    place = {"hx-retarget": "#refusal", "hx-reswap": "outerHTML"} if fragment else {}
    context = {
        "title": title,
        "text": text,
        "link": link or (url(request, "account.show"), _("Go to your account")),
        "wait": wait,
        "looks_again": looks_again,
        "loads_anew": looks_again and request.method == "GET" and not fragment,
        "incident": incident,
    }
    return panel(request, "refused.html", "_refusal.html", status, place | after, **context)


def by_htmx(request: Request) -> bool:
    """Whether htmx asks, so that a panel is enough."""
    return request.headers.get("hx-request") == "true"


def url(request: Request, route: str, **params: str) -> str:
    """The path of a route, with the prefix that we are served under. Never the Host header."""
    path = request.app.url_path_for(route, **params) if params else _fixed_path(request.app, route)
    return f"{request.state.settings.prefix}{path}"


async def look_ahead(request: Request, path: str) -> None:
    """Sees to it that `app_ahead` knows the apps as they are now, if this path leads into one: for whoever comes by it."""
    if path.partition("?")[0] == url(request, "apps.enter"):
        await request.state.apps.read(request.state.backend)


def app_ahead(request: Request, path: str) -> str:
    """What the app is called that this path of ours leads into; empty for every other path, and where no app is listed there."""
    route, _, query = path.partition("?")
    if route != url(request, "apps.enter"):
        return ""
    place = request.state.apps.last_place(dict(parse_qsl(query)).get("to", ""))
    return apps.called(place.app) if place else ""


@dataclass(frozen=True, slots=True)
class Key:
    """A security key as a page shows it; `slug` is its credential id in an address."""

    slug: str
    name: str
    bound_at: datetime
    used_at: datetime | None
    suspended: bool
    domain: str
    mislaid_until: datetime | None


@dataclass(frozen=True, slots=True)
class Device:
    """What to tell somebody about the browser in front of them, before a key is asked for."""

    phone: bool
    """One on which no key is to be used here."""
    held: bool
    """A phone on which a key may be used: plugged in, or held to its back."""
    no_webauthn: Text | None


def keys(records: Iterable[SecurityKey]) -> list[Key]:
    """The keys as a page shows them."""
    return [_key(key) for key in records]


def _key(key: SecurityKey) -> Key:
    return Key(slug(key.id), key.name, key.bound_at, key.used_at, key.suspended_at is not None, key.rp_id, key.mislaid_until)


def device(request: Request) -> Device:
    """What the browser says of itself; phones count only where the deployer has not allowed them."""
    browser = browsers.parse(request.headers.get("user-agent", ""))
    refused = request.state.settings.phones == "refused"
    return Device(browser.phone and refused, browser.phone and not refused, browser.no_webauthn)


@cache
def _environment(language: Language) -> Environment:
    """Jinja, with what only pages have."""
    found = templating.environment(language)
    found.filters.update(masked=identities.masked)
    found.globals.update(url=_url, static=_static)
    fields: Any = found.get_template("fields.html").module
    found.globals["offered"] = fields.offered(languages.KNOWN.values())
    return found


def _answer(request: Request, template: str, status: int, headers: Mapping[str, str] | None, context: dict[str, Any]) -> Response:
    """What is written in the reader's language, which follows from these headers of the request, and from the account."""
    about = {"vary": "hx-request, accept-language, cookie", "content-language": client.language(request).code}
    return HTMLResponse(_render(request, template, context), status, {**about, **(headers or {})})


def _back(request: Request) -> str:
    """Where the reader is, for a form that leads back there."""
    scope = request.scope
    here = f"{scope['path']}?{scope['query_string'].decode('latin-1')}".rstrip("?")
    return here if scope["method"] == "GET" else paths.referred(request, with_query=True)


def _render(request: Request, template: str, context: dict[str, Any]) -> str:
    here = getattr(request.scope.get("route"), "name", "")
    settings = request.state.settings
    common = {"name": settings.name, "help": settings.help, "site": settings, "here": here, "notice": None}
    common["account"] = request.scope["state"].get("account")
    common["has_apps"] = bool(request.state.apps.last)
    common["back"] = _back(request)
    account = context.get("account")
    common["binding_due_at"] = sessions.binding_due_at(account, settings) if account else None
    return _environment(client.language(request)).get_template(template).render(common | context, request=request)


@lru_cache(maxsize=256)
def _fixed_path(app: Starlette, route: str) -> str:
    """Starlette looks through all routes each time, and a page has a dozen links."""
    return str(app.url_path_for(route))


@pass_context
def _url(context: Context, route: str, **params: str) -> str:
    return url(context["request"], route, **params)


@pass_context
def _static(context: Context, file: str) -> str:
    settings = context["request"].state.settings
    return f"{settings.prefix}/static/{file}?{templating.version(file, settings.made)}"
