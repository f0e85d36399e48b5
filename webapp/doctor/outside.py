"""The running server, reached as people reach it: through whatever stands before it.

Not to reach the public URL from here is no fault: its name may not resolve on this machine, and many networks do not let a
machine reach itself by its public address.
"""

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from webapp import __version__
from webapp.doctor.finding import Context, Finding, ok, unchecked, wrong
from webapp.settings import Settings
from webapp.web import probe

T = TypeVar("T")

SECONDS = 5
SAME_TIME = 10.0
_PROXY = "deploy/nginx.conf and deploy/Caddyfile show how."


class Unreached(Exception):
    """Nobody answered; `finding` says what that means."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding


class Answer(NamedTuple):
    """What came back. Where there is TLS, the certificate."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    certificate: dict[str, Any] | None

    def told(self, kind: type[T]) -> T | None:
        """What it says, in JSON; None if that is not all of this. Anybody may have answered."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


class Told(Struct, frozen=True):
    """What a server of this version tells of how the question arrived."""

    version: str
    public_url: str
    at: float
    peer: str
    trusted: bool
    forwarded: list[str]
    address: str
    origin: str
    cookie: str


class _ByAny(Struct, frozen=True):
    """What a server of any version tells, if it knows our secret."""

    peer: str
    version: str = "unknown"


async def server(ctx: Context) -> list[Finding]:
    """Whether it answers at the public URL, is this deployment, and learns from the proxy what it needs."""
    url = ctx.options.url or ctx.settings.public_url
    try:
        # Two, because a proxy that writes one of the headers may pass on the other as a visitor sent it.
        answers = [await asyncio.to_thread(_ask, ctx, url, claim) for claim in (_USUAL, _STANDARD)]
    except Unreached as unreached:
        return [unreached.finding]
    ends, headers = ends_soon(url, answers[0].certificate), answers[0].headers
    if strangers := [answer for answer in answers if answer.told(Told) is None]:
        return [another_version(url, strangers[0]) or _somebody_else(ctx.settings, url, strangers[0]), *ends]
    told = [told for answer in answers if (told := answer.told(Told))]
    found = [
        *ends,
        *_deployed(ctx.settings, told[0]),
        *by_its_clock(told[0].at),
        *_through_the_proxy(ctx.settings, told),
        *_headers(ctx.settings, told[0], headers),
        *await asyncio.to_thread(_redirected, ctx),
    ]
    faults = [finding for finding in found if finding.state == "wrong"]
    return faults or [ok(f"It answers at {url}, and the proxy tells it what it needs."), *found]


_USUAL = {"X-Forwarded-For": probe.CLAIM}
_STANDARD = {"Forwarded": f"for={probe.CLAIM}"}


def _ask(ctx: Context, url: str, claim: dict[str, str]) -> Answer:
    headers = {
        **claim,
        probe.HEADER: probe.question(ctx.settings.secret_keys),
        "Origin": ctx.settings.origin,
        "Cookie": f"{probe.COOKIE}=here",
        "User-Agent": f"keystead-doctor/{__version__}",
    }
    return reach(url, f"{url.rstrip('/')}/healthz", headers, lambda why: _silent(ctx, url, why))


def reach(site: str, url: str, headers: dict[str, str], silent: Callable[[str], Finding]) -> Answer:
    """What comes from this address of the site. Unreached; where nobody answers at all, `silent` says what that means."""
    try:
        return _get(url, headers)
    except ssl.SSLCertVerificationError as error:
        todo = "Renew the certificate, or get one for this name. SSL_CERT_FILE names an authority of your own."
        raise Unreached(wrong(f"Browsers will not trust {site}: {error.verify_message}.", todo)) from None
    except ssl.SSLError:
        raise Unreached(wrong(f"There is no TLS at {site}.", f"Let the proxy end TLS there. {_PROXY}")) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = "the name is not known" if isinstance(error, socket.gaierror) else "nobody answers"
        raise Unreached(silent(why)) from None


def _silent(ctx: Context, url: str, why: str) -> Finding:
    if ctx.options.url:
        return wrong(f"{url} cannot be reached: {why}.", "Start the server, or look at the address.")
    return unchecked(f"{url} cannot be reached from here ({why}): is the server running? `--url` names another way to it.")


def _get(url: str, headers: dict[str, str]) -> Answer:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request("GET", f"{parts.path or '/'}?{parts.query}".rstrip("?"), headers=headers)
        certificate = connection.sock.getpeercert() if isinstance(connection.sock, ssl.SSLSocket) else None
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read(100_000), certificate)
    finally:
        connection.close()


def another_version(where: str, answer: Answer) -> Finding | None:
    """Said of a server that knows our secret, and answers in another way than one of this version."""
    other = answer.told(_ByAny)
    if other is None:
        return None
    text = f"Another version of Keystead answers at {where} ({other.version!r:.30}; {__version__!r} looks at it)."
    return wrong(text, "Start the server again, so that it runs what is installed; or run the doctor that it was installed with.")


def _somebody_else(settings: Settings, url: str, answer: Answer) -> Finding:
    if answer.status != 200 or answer.headers.get("x-frame-options") != "DENY":
        path = f"{settings.prefix}/healthz"
        return wrong(
            f"Something else than Keystead answers at {url} (with status {answer.status}).",
            f"Let the proxy pass {path} on to Keystead. {_PROXY}",
        )
    todo = "Run doctor with the variables that the server was started with, or start it again with these."
    return wrong(f"A Keystead with other secrets answers at {url}.", todo)


def ends_soon(url: str, certificate: dict[str, Any] | None) -> list[Finding]:
    """Whoever renews certificates does it when a third of their time is left."""
    if not certificate:
        return []
    begins, ends = (ssl.cert_time_to_seconds(certificate[name]) for name in ("notBefore", "notAfter"))
    if ends - time.time() > (ends - begins) / 6:
        return []
    text = f"The certificate of {url} ends on {datetime.fromtimestamp(ends, UTC):%Y-%m-%d %H:%M} UTC."
    return [wrong(text, "Renew it, and see why it was not renewed by itself. Then nobody gets in: browsers refuse the page.")]


def _deployed(settings: Settings, told: Told) -> list[Finding]:
    found = []
    if told.version != __version__:
        found.append(wrong(f"The server runs version {told.version}, and {__version__} is installed.", "Start it again."))
    if told.public_url != settings.public_url:
        text = f"The server was started with KEYSTEAD_PUBLIC_URL={told.public_url}, and here it is {settings.public_url}."
        found.append(wrong(text, "Start it again with the settings that are meant."))
    return found


def by_its_clock(at: float) -> list[Finding]:
    """Whether the server's clock, which said this just now, is ours."""
    apart = time.time() - at
    if abs(apart) <= SAME_TIME:
        return []
    text = f"This machine's clock is {abs(apart):.0f} seconds {'ahead of' if apart > 0 else 'behind'} the server's."
    return [wrong(text, "Set both clocks, and let both machines keep them (NTP): codes and sessions end by them.", "clock")]


def _through_the_proxy(settings: Settings, told: list[Told]) -> list[Finding]:
    """Whether the server knows where visitors come from. It heard that we come from an address that we do not come from."""
    usual, peer = told[0], told[0].peer
    if any(each.address == probe.CLAIM for each in told):
        text = "Any visitor can pretend to come from any address, so limits hold nobody back."
        return [wrong(text, f"Let the proxy overwrite X-Forwarded-For and take Forwarded away. {_PROXY}", "proxy")]
    through = usual.forwarded not in ([], [probe.CLAIM])
    if through and not usual.trusted:
        text = f"The proxy at {peer} is not trusted: all visitors count as one, and share their limits."
        return [
            wrong(text, f"Set KEYSTEAD_TRUSTED_PROXIES={peer}, or to the network that your platform's router is in.", "proxy")
        ]
    if settings.https and not through:
        text = f"The proxy at {peer} does not say who asks: all visitors count as one, and share their limits."
        return [wrong(text, f"Let it set X-Forwarded-For. {_PROXY}", "proxy")]
    return []


def _headers(settings: Settings, told: Told, headers: http.client.HTTPMessage) -> list[Finding]:
    found = []
    if told.origin != settings.origin:
        text = "The proxy changes the Origin header: every form will be refused."
        found.append(wrong(text, f"Let it pass the header on as it is. {_PROXY}", "proxy"))
    handed_out = headers.get("set-cookie", "")
    if told.cookie != "here" or f"{probe.COOKIE}=seen" not in handed_out or "Path=/;" not in handed_out:
        text = "The proxy takes cookies away, or changes them: nobody can log on."
        found.append(wrong(text, f"Let it pass Cookie and Set-Cookie on as they are. {_PROXY}", "cookies"))
    if settings.https and "strict-transport-security" not in headers:
        text = "The proxy takes Strict-Transport-Security away: a browser may try http first."
        found.append(wrong(text, f"Let it pass our headers on as they are. {_PROXY}", "proxy"))
    return found


def _redirected(ctx: Context) -> list[Finding]:
    """Whether http leads to https. Only where both have their usual ports, and the public URL is what is looked at."""
    host = urlsplit(ctx.settings.public_url)
    if ctx.options.url or not ctx.settings.https or host.port:
        return []
    try:
        answer = _get(f"http://{host.hostname}{host.path}/healthz", {})
    except (OSError, http.client.HTTPException, ValueError):
        return []
    if answer.status != 200:
        return []
    return [wrong("The site also answers over http.", f"Let the proxy redirect http to https. {_PROXY}", "proxy")]
