"""Who is at the other end: the address a request comes from, the browser, and its language. Never believes a proxy that we
were not told to trust.
"""

import re
from collections.abc import Sequence

from webapp import languages
from webapp.accounts import limits
from webapp.accounts.context import Claim, Context
from webapp.languages import Language
from webapp.settings import Network
from webapp.web import browsers, cookies
from webapp.web.state import Request


def context(request: Request, claim: Claim | None = None) -> Context:
    """What an operation is carried out with, for this request. Only what has to do with logging on knows the browser's device."""
    state = request.state
    return Context(
        settings=state.settings,
        backend=state.backend,
        metrics=state.metrics,
        address=address(request),
        browser=str(browsers.parse(request.headers.get("user-agent", ""))),
        zone=cookies.zone(request),
        language=language(request).code,
        claim=claim,
        device=cookies.device(request) if claim is None or claim.level == "password_only" else None,
        accounts=state.population.accounts,
        owes=state.sender.owes,
    )


def address(request: Request) -> str:
    """Where the request comes from. Only a proxy that we were told to trust may speak for somebody else.

    The headers are read from the right, where our own proxies write: what stands left of the first address that is not one of
    them is what anybody may have sent. A proxy writes one of the two headers and may pass on the other as a visitor sent it:
    where they differ, neither counts.
    """
    found: str | None = request.scope["state"].get("address")
    if found is None:
        found = request.state.address = _address(request)
    return found


def language(request: Request) -> Language:
    """What we speak to this browser: what its owner has chosen, here or for the account, or what it asks for."""
    found: Language | None = request.scope["state"].get("language")
    if found is None:
        header, otherwise = request.headers.get("accept-language", ""), request.state.settings.language
        found = request.state.language = cookies.language(request) or languages.choose(header, otherwise)
    return found


def forwarded(request: Request) -> tuple[list[str], list[str]]:
    """The addresses that `Forwarded` (RFC 7239 §5.2) and `X-Forwarded-For` claim, as they stand."""
    lines = request.headers.getlist("forwarded")
    standard = re.findall(r'for="?\[?([^"\];,\s]+)', ",".join(lines), re.IGNORECASE) if lines else []
    usual = [text.strip().strip("[]") for line in request.headers.getlist("x-forwarded-for") for text in line.split(",")]
    return _without_ports(standard), _without_ports(usual)


def is_trusted(request: Request, text: str) -> bool:
    """Whether this is the address of a proxy that may speak for others."""
    return _is_in(request.state.settings.trusted_proxies, text)


def _address(request: Request) -> str:
    peer = request.client.host if request.client else ""
    networks = request.state.settings.trusted_proxies
    if not _is_in(networks, peer):
        return peer
    told = {_nearest(networks, claims) for claims in forwarded(request) if claims}
    found = told.pop() if len(told) == 1 else None
    return found or peer


def _without_ports(claims: list[str]) -> list[str]:
    return [text.rpartition(":")[0] if text.count(":") == 1 else text for text in claims]


def _nearest(networks: Sequence[Network], claims: list[str]) -> str | None:
    """The last address that is not one of our proxies; None if that is none, or if there are only our proxies."""
    nearest = next((claimed for claimed in reversed(claims) if not _is_in(networks, claimed)), "")
    return nearest if limits.parsed(nearest) else None


def _is_in(networks: Sequence[Network], text: str) -> bool:
    ip = limits.parsed(text) if networks else None
    return ip is not None and any(ip in network for network in networks if ip.version == network.version)
