"""A request as a view gets it, made without a server."""

from collections.abc import Mapping
from typing import Any

from webapp.settings import Settings
from webapp.web.state import Request


def settings(**changes: Any) -> Settings:
    """Settings of a site, which is opened by nobody."""
    given: dict[str, Any] = {
        "public_url": "https://keys.example.com",
        "secret_keys": ("a secret that is only for tests, and long enough",),
        "backend": "file:///nowhere/keystead.db",
        "mail": "outbox:///nowhere",
        "mail_from": "keystead@example.com",
    }
    return Settings(**given | changes)


def request(of: Settings, headers: Mapping[str, str] | None = None, peer: str = "192.0.2.1") -> Request:
    """A request to a site with these settings, from this peer."""
    raw = [(name.lower().encode(), text.encode("latin-1")) for name, text in (headers or {}).items()]
    return Request({"type": "http", "method": "GET", "headers": raw, "client": (peer, 50000), "state": {"settings": of}})
