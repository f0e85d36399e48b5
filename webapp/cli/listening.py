"""Where `keystead serve` listens, why, and whether it can. Never on more than this machine, unless somebody asked for that."""

import errno
import socket
from collections.abc import Mapping
from typing import NamedTuple

from webapp.cli.running import Refused
from webapp.settings import Settings

HERE, EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104  (a platform's router comes from outside)


class Place(NamedTuple):
    """An address and a port, and why these."""

    host: str
    port: int
    why: str

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def place(settings: Settings, environ: Mapping[str, str], host: str | None) -> Place:
    """What was said at the command, or in KEYSTEAD_LISTEN; else what a platform expects, or this machine."""
    if host:
        return Place(host, settings.port, "--host says so")
    if settings.listen:
        return Place(settings.listen, settings.port, "KEYSTEAD_LISTEN says so")
    if environ.get("PORT", "").strip() and not settings.local:
        why = "every address of this machine, because PORT is set, as platforms do (KEYSTEAD_LISTEN names another)"
        return Place(EVERYWHERE, settings.port, why)
    why = "this machine only, where a proxy passes requests on (KEYSTEAD_LISTEN names another)"
    return Place(HERE, settings.port, why)


def must_be_free(place: Place) -> None:
    """Refused, in words that say what to do, if nobody can listen there."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((place.host, place.port))
    except (OSError, UnicodeError) as error:
        raise Refused(_words(place, error)) from None


def _words(place: Place, error: OSError | UnicodeError) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"Nothing is known of an address {place.host}: let --host or KEYSTEAD_LISTEN name one of this machine."
    if error.errno == errno.EADDRINUSE:
        who = f"`ss -ltnp 'sport = :{place.port}'` says which"
        return f"Port {place.port} is taken: another program listens there ({who}). Stop it, or set PORT to another."
    if error.errno == errno.EACCES:
        return f"This user may not listen on port {place.port}. Set PORT to one from 1024 on; the proxy before it has 443."
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"This machine has no address {place.host}: let --host or KEYSTEAD_LISTEN name one that it has (`ip address`)."
    return f"Nothing can listen on {place}: {error.strerror}."
