"""What a proxy says that it was asked for, when it asks whether somebody may. Hostile until it has been looked at in full.

nginx says it in `X-Original-URL` and `X-Original-Method`; Caddy and Traefik in `X-Forwarded-*`. Nothing is believed that comes in
both ways, twice, or under a name that an application could take for another: each of these has opened somebody else's doors
(oauth2-proxy CVE-2025-64484, Traefik GHSA-5m6w-wvh7-57vm, Caddy GHSA-7r4p-vjf4-gxv4). A header that only we may set is refused
wherever a client has sent it, because some proxies pass it on to the application even so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from webapp.web import paths

OURS = (b"remote-", b"keystead-")
"""How the headers begin that an application believes, because we have set them."""
ORIGINAL = (b"x-original-url", b"x-original-method")
FORWARDED = (b"x-forwarded-host", b"x-forwarded-uri", b"x-forwarded-method", b"x-forwarded-proto")
MAX_BACK = 1500
"""Characters of a way back as it stands in an address: it goes through the logon in one."""
_JUDGED = frozenset((*ORIGINAL, *FORWARDED))
_NO_PAGE = (b"upgrade", b"sec-websocket-key", b"x-requested-with")
"""What no browser sends that opens a page. Of a websocket, nginx and Traefik pass on the key and not the upgrade."""
_PLAIN = bytes(byte if chr(byte).isascii() and chr(byte).isalnum() else ord("-") for byte in bytes(range(256)).lower())
"""Letters and digits as they are, in lower case, and a hyphen for everything else: as CGI and WSGI make names alike."""


class Unbelievable(Exception):
    """What was asked for cannot be told for certain; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`host` and `path` as the proxy says; `is_page`: a browser asks for a page, which can be answered by a redirect;
    `is_use`: it is something that a person does, and not a script that looks whether there is news; `by_nginx`: only 200, 401
    and 403 are understood.
    """

    host: str
    path: str
    is_page: bool
    is_use: bool
    by_nginx: bool


def read(headers: Iterable[tuple[bytes, bytes]]) -> Asked:
    """What was asked for, by the headers of the request for a judgement. Unbelievable."""
    found, others = _sorted(headers)
    if b"http2-settings" in others or others.get(b"upgrade", b"websocket").lower() != b"websocket":
        raise Unbelievable("its connection would become something that is asked about once")
    original = _told(found, *ORIGINAL)
    forwarded = _told(found, *FORWARDED[:3])
    if (original is None) == (forwarded is None):
        raise Unbelievable("neither X-Original-URL nor X-Forwarded-Host is there, or both are")
    if original:
        url, method = original
        host, path = _parts(url)
    else:
        host, path, method = forwarded or ("", "", "")
    is_page = method in ("GET", "HEAD") and _is_page(others)
    return Asked(host, path or "/", is_page, is_page or method not in ("GET", "HEAD", "OPTIONS"), original is not None)


def refuse_ours(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Unbelievable if there is a header that only we may set."""
    for name, _ in headers:
        if name.translate(_PLAIN).startswith(OURS):
            raise Unbelievable(f"there is a header {name.decode('latin-1')[:40]}, which only we may set")


def back(path: str) -> str:
    """The path as it may be gone back to: the root of the app, where it is none that a browser takes as it stands, or none of the
    app's own, or too long to be carried along.
    """
    plain = paths.plain(path.replace("@", "%40"), "/")
    return "/" if is_ours(plain) or len(in_query(plain)) > MAX_BACK else plain


def is_ours(path: str) -> bool:
    """Whether the proxy is to hand this path of an app's host to us, however it is written."""
    return f"{unquote(path[: 3 * len(paths.APP_HOST)])}/".startswith(paths.APP_HOST)


def entry(to: str, nonce: str) -> str:
    """The query of the address at which we let somebody into an app: short enough to be carried through a logon in one."""
    return f"to={in_query(to)}&nonce={nonce}"


def in_query(text: str) -> str:
    """The text as it can stand in a query."""
    return quote(text, safe="/")


def _sorted(headers: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """The headers that are judged by, and the others."""
    found, others = dict[bytes, bytes](), dict[bytes, bytes]()
    for name, value in headers:
        plain = name.translate(_PLAIN)
        if plain.startswith(OURS):
            raise Unbelievable(f"there is a header {name.decode('latin-1')[:40]}, which only we may set")
        if plain not in _JUDGED:
            others[name] = others[name] + b"," + value if name in others else value
        elif plain != name.lower() or plain in found:
            raise Unbelievable(f"{plain.decode()} is there twice, or under another spelling")
        else:
            found[plain] = value
    return found, others


def _told(found: dict[bytes, bytes], *names: bytes) -> tuple[str, ...] | None:
    """The values of these headers; None if the first is absent or empty. Unbelievable if only some are there."""
    values = tuple(found.get(name, b"").decode("latin-1") for name in names)
    if not any(values):
        return None
    if not all(values):
        raise Unbelievable(f"of {b', '.join(names).decode()} only some are there")
    return values


def _parts(url: str) -> tuple[str, str]:
    """Host and path of an address as nginx writes it; nothing else is taken for one."""
    scheme, separator, rest = url.partition("://")
    if scheme not in ("http", "https") or not separator:
        raise Unbelievable("X-Original-URL is no address")
    host, slash, path = rest.partition("/")
    return host, slash + path


def _is_page(headers: dict[bytes, bytes]) -> bool:
    """Whether it is a browser that opens a page, and neither a script nor a websocket: to those, a redirect says nothing."""
    if not headers.keys().isdisjoint(_NO_PAGE):
        return False
    return headers.get(b"sec-fetch-mode", b"navigate") == b"navigate" and b"text/html" in headers.get(b"accept", b"")
