"""Paths that a request names, to go on to. Never one that a browser could take for another site, or that leaves our mount."""

from urllib.parse import unquote, urlsplit

from starlette.routing import Match
from starlette.types import Scope

from webapp.web.state import Request

MAX_PATH, MAX_UP = 2048, 4
CHECK = "/check"
"""What proxies ask whether somebody may open an app."""
APP_HOST = "/.keystead/"
"""What an app's host hands to us."""


def is_for_apps(scope: Scope) -> bool:
    """Whether the answer is for an app's host, where our pages are not, and nothing may be said about the host itself."""
    path: str = scope["path"].removeprefix(scope["root_path"])
    return path == CHECK or path.startswith(APP_HOST)


def local(request: Request, text: str, otherwise: str = "") -> str:
    """`text` if it is a path of ours and nothing that a browser could take for another site, else `otherwise`.

    Browsers read a backslash as a slash, skip tabs and line ends, and resolve dots, hence the list (CVE-2026-28512 and its like).
    """
    prefix = request.state.settings.prefix
    return text if len(text) <= MAX_PATH and _is_harmless(text) and _is_under(text, prefix) else otherwise


def plain(text: str, otherwise: str = "") -> str:
    """The same for a path of any site."""
    return text if len(text) <= MAX_PATH and _is_harmless(text) and _is_under(text, "") else otherwise


def referred(request: Request, *, with_query: bool = False) -> str:
    """The path of the page that this request came from, if it is one of ours; empty otherwise."""
    try:
        page = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return ""
    ours = f"{page.scheme}://{page.netloc}" == request.state.settings.origin
    return local(request, f"{page.path}?{page.query}" if with_query and page.query else page.path) if ours else ""


def opens(request: Request, page: str) -> bool:
    """Whether this page of ours opens by its address. One that answered a form stands at the form's, which may not."""
    scope = {"type": "http", "method": "GET", "path": page.partition("?")[0], "root_path": request.state.settings.prefix}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def nearest(request: Request, page: str) -> str:
    """The page if it opens, or the nearest above it that does; empty if none does. The forms of a page stand close below it."""
    for _ in range(MAX_UP):
        if opens(request, page):
            return page
        page = page.partition("?")[0].rpartition("/")[0]
    return ""


def is_below(path: str, folder: str) -> bool:
    """Whether the path is this one, or one below it."""
    return f"{path.partition('?')[0]}/".startswith(f"{folder}/")


def _is_harmless(text: str) -> bool:
    return (
        text.startswith("/")
        and not text.startswith("//")
        and text.isascii()
        and all(" " < c and c not in "\\@\x7f" for c in text)
    )


def _is_under(text: str, prefix: str) -> bool:
    path = text.partition("?")[0].partition("#")[0]
    dots = any(unquote(part) in (".", "..") for part in path.split("/"))
    return not dots and is_below(path, prefix)
