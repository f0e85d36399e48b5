"""An app behind this site, opened through its proxy as strangers open it: those who come by chance, and those who lie.

Nobody is logged on for it. What a proxy does wrong shows to strangers, but for one thing: what it hands on for somebody who is
logged on. So it must show that Keystead hears everything that a visitor says, because there such a request ends.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlencode, urlsplit, urlunsplit

from msgspec import Struct

from backends.protocol import Backend
from webapp import __version__
from webapp.accounts.apps import Apps, host_of
from webapp.doctor.finding import Context, Finding, ok, wrong
from webapp.doctor.outside import Answer, Unreached, another_version, by_its_clock, ends_soon, reach
from webapp.doctor.records import asked
from webapp.settings import app_origin
from webapp.web import paths, probe

_HOW = "docs/apps.md and the files in deploy/ show how."
_PAGE = {"Accept": "text/html,application/xhtml+xml", "User-Agent": f"keystead-doctor/{__version__}"}
_SCRIPT = _PAGE | {"Accept": "application/json"}
_LIES = (("Remote-User", "root"), ("Remote_User", "root"), ("Remote-Groups", ""), ("Keystead-Proof", "key"))
"""What a visitor says that only Keystead may."""


class Arrived(Struct, frozen=True):
    """What a server of this version tells of how the question arrived from an app's host."""

    peer: str
    trusted: bool
    host: str
    app: str | None
    at: float


class _Refusal(Struct, frozen=True):
    """Why somebody is not let in."""

    error: str


async def app(ctx: Context) -> list[Finding]:
    """Whether the proxy of this app lets in whom it should, and nobody else. Nothing to say where no app is named."""
    if ctx.options.app is None:
        return []
    try:
        parts = urlsplit(ctx.options.app)
        origin = app_origin(f"{parts.scheme}://{parts.netloc}")
    except ValueError as error:
        return [wrong(f"{ctx.options.app!r:.100} cannot be looked at: {error}", "Name it as `keystead app list` does.")]
    listed = await asked(ctx, lambda backends: _listed(backends[0], origin))
    return listed or await asyncio.to_thread(_look, ctx, origin, urlunsplit(("", "", parts.path or "/", parts.query, "")))


async def _listed(backend: Backend, origin: str) -> list[Finding]:
    known = [address for each in await Apps().read(backend) for address in each.origins]
    if origin in known:
        return []
    todo = f"Add it: keystead app add NAME {origin}. These are there: {', '.join(known[:10]) or 'none'}."
    return [wrong(f"There is no app at {origin}: nobody gets in there.", todo)]


def _look(ctx: Context, origin: str, path: str) -> list[Finding]:
    """The way in first: where that is wrong, so is everything else."""
    get = partial(_get, origin)
    try:
        arrived = get(_question(ctx), _PAGE)
        page = get(path, _PAGE)
        if faults := _way_in(origin, arrived) or _stranger(origin, page):
            return [*faults, *(_lies(get, path, page) if _is_the_apps(page) else [])]
        found = [*_begin(ctx, get), *_script(get, path), *_lies(get, path, page), *_cached(page, arrived)]
    except Unreached as unreached:
        return [unreached.finding]
    told = arrived.told(Arrived)
    more = [*ends_soon(origin, page.certificate), *(by_its_clock(told.at) if told else [])]
    if found:
        return [*found, *more]
    return [ok(f"The proxy at {origin} asks before it lets anybody in, and Keystead hears what visitors say."), *more]


def _get(origin: str, path: str, headers: dict[str, str]) -> Answer:
    def silent(why: str) -> Finding:
        return wrong(f"{origin} cannot be reached from here: {why}.", "Start the proxy, or run doctor where the name is known.")

    return reach(origin, origin + path, headers, silent)


def _question(ctx: Context) -> str:
    query = urlencode({probe.QUERY: probe.question(ctx.settings.secret_keys)})
    return f"{paths.APP_HOST}whoami?{query}"


def _way_in(origin: str, arrived: Answer) -> list[Finding]:
    """Whether what the proxy hands on of /.keystead/ reaches Keystead as it should."""
    told = arrived.told(Arrived)
    if told is None:
        return [_another(origin, arrived)]
    if not told.trusted:
        text = f"Keystead gives this proxy no answer, because it does not know {told.peer} as one."
        todo = f"Set KEYSTEAD_TRUSTED_PROXIES={told.peer}, or to the network that it is in. Start the server again."
        return [wrong(text, todo)]
    if told.host != host_of(origin):
        text = f"The proxy hands {paths.APP_HOST} on as if it were asked of {told.host[:100]}: nobody gets in."
        return [wrong(text, f"Let it hand the Host header on as it is ({host_of(origin)}). {_HOW}")]
    if told.app is None:
        text = f"The server that answers at {origin} does not know the app: it keeps its records elsewhere."
        return [wrong(text, "Run doctor and `keystead app add` with the variables that the server was started with.")]
    return []


def _another(origin: str, arrived: Answer) -> Finding:
    """What answers there that is not the server of these settings."""
    if arrived.status == 403:
        text = f"The proxy asks also about {paths.APP_HOST}, which Keystead refuses: nobody gets in."
        return wrong(text, f"Let it pass {paths.APP_HOST} on to Keystead without asking. {_HOW}")
    if fault := another_version(origin, arrived):
        return fault
    if arrived.told(_Refusal):
        todo = "Run doctor with the variables that the server was started with, or start it again with these."
        return wrong(f"A Keystead with other secrets answers at {origin}.", todo)
    text = f"Something else than Keystead answers at {origin}{paths.APP_HOST} (with status {arrived.status}): nobody gets in."
    return wrong(text, f"Let the proxy pass {paths.APP_HOST} on to Keystead. {_HOW}")


def _stranger(origin: str, page: Answer) -> list[Finding]:
    """Whether somebody who is not logged on is led to our logon."""
    if _leads_in(origin, page):
        return []
    refusal = page.told(_Refusal)
    why = page.headers.get("keystead-reason") or (refusal.error if refusal else None)
    match page.status:
        case 401:
            return [
                wrong(
                    "A stranger who opens a page sees an error (401), and no logon.",
                    f"Let the proxy hand the Location on, which Keystead names. {_HOW}",
                )
            ]
        case 403 if why == "no app":
            text = f"The proxy asks about another host than {host_of(origin)}, which Keystead does not know."
            return [wrong(text, f"Let it name exactly {host_of(origin)}, as browsers do. {_HOW}")]
        case 403 if why:
            text = "Keystead believes nothing of what this proxy asks: nobody gets in."
            return [wrong(text, f'Its log says why ("not believed"): one set of headers, once each, in one spelling. {_HOW}')]
        case 403:
            return [wrong("The proxy lets no stranger further than to an error (403).", f"See whether it asks at /check. {_HOW}")]
        case 500 | 502 | 503 | 504:
            text = f"The proxy cannot ask Keystead, or gets an answer that it does not understand (status {page.status})."
            return [wrong(text, f"See that /check reaches Keystead, and what the proxy's error log says. {_HOW}")]
        case 404 if page.headers.get("x-frame-options") == "DENY":
            return [wrong("The proxy asks Keystead at another address than /check.", f"Let it ask there. {_HOW}")]
    return [_unasked(page)]


def _unasked(page: Answer) -> Finding:
    """The app itself answers a stranger."""
    led = f", and is led to {page.headers['location'][:100]}" if page.headers.get("location") else ""
    text = f"A stranger gets to the app (status {page.status}{led}): the proxy does not ask Keystead."
    todo = f"Let it ask before it hands anything on. {_HOW} If that page is for everybody, name another one that is not."
    return wrong(text, todo)


def _begin(ctx: Context, get: partial[Answer]) -> list[Finding]:
    """Whether the way in begins, and keeps its cookie."""
    begun = get(f"{paths.APP_HOST}begin?back=/", _PAGE)
    to = begun.headers.get("location", "")
    if not to.startswith(f"{ctx.settings.public_url}/apps/enter?"):
        text = f"The way in leads to {to[:100] or 'nothing'}, and not to {ctx.settings.public_url}."
        return [wrong(text, f"See that the server has the same KEYSTEAD_PUBLIC_URL, and the proxy changes no Location. {_HOW}")]
    if "keystead-app" not in begun.headers.get("set-cookie", ""):
        return [
            wrong(f"The proxy takes cookies away from {paths.APP_HOST}: nobody gets in.", f"Let it pass Set-Cookie on. {_HOW}")
        ]
    return []


def _script(get: partial[Answer], path: str) -> list[Finding]:
    """Whether a script is told, and not led away."""
    answer = get(path, _SCRIPT)
    if answer.status == 401:
        return []
    text = f"A script of a stranger gets status {answer.status}, and not 401: it takes the logon for an answer of the app."
    return [wrong(text, f"Let the proxy hand Keystead's 401 on where no Location comes with it. {_HOW}")]


def _lies(get: partial[Answer], path: str, page: Answer) -> Iterator[Finding]:
    """Whether Keystead hears what a visitor says about themselves, and refuses it."""
    answers = {name: get(path, _PAGE | {name: value}) for name, value in _LIES}
    believed = [name for name, answer in answers.items() if _is_the_apps(answer)]
    # Where a name with another sign is dropped by the proxy, as nginx does, nobody hears it.
    unheard = [name for name, answer in answers.items() if answer.status != 403 and name not in believed and "_" not in name]
    if believed:
        text = f"Whoever sends {_and(believed)} gets to the app with it, and passes there for whom they like."
        yield wrong(text, f"Let the proxy ask first, and take away what visitors send of Remote-* and Keystead-*. {_HOW}")
    elif unheard:
        text = f"Keystead does not hear that a visitor sends {_and(unheard)}: somebody who is logged on may pass for another."
        yield wrong(text, f"Let the proxy ask with the headers as they came, so that Keystead refuses them. {_HOW}")


def _cached(*answers: Answer) -> Iterator[Finding]:
    """A cache would tell one visitor what another was told."""
    for answer in answers:
        if "age" in answer.headers or "hit" in answer.headers.get("x-cache", "").lower():
            text = "A cache stands before the app: it may hand one visitor's pages to another, and let in who has logged off."
            yield wrong(text, "Let it keep nothing of this host.")
            return


def _leads_in(origin: str, answer: Answer) -> bool:
    return answer.status == 302 and answer.headers.get("location", "").startswith(f"{origin}{paths.APP_HOST}begin?back=")


def _is_the_apps(answer: Answer) -> bool:
    """Whether it seems to come from the app itself: what we answer says so, and refusals of proxies let nobody in."""
    ours = paths.APP_HOST in answer.headers.get("location", "") or answer.headers.get("x-frame-options") == "DENY"
    return answer.status not in (401, 403) and answer.status < 500 and not ours


def _and(names: list[str]) -> str:
    return " or ".join(names)
