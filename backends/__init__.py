"""Where records live, and how an address finds its backend. Never imports anything of `webapp`."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from backends.protocol import Backend, NotOurs

GROUP = "keystead.backends"
BUILT_IN = {
    "file": "backends.file:FileBackend",
    "mongodb": "backends.mongo:MongoBackend",
    "mongodb+srv": "backends.mongo:MongoBackend",
}
"""The same as pyproject's entry points: a platform that only installs requirements.txt never installs our metadata."""


async def open_backend(url: str) -> Backend:
    """The backend at this address; its scheme names an entry point, whose object has `async open(url) -> Backend`."""
    scheme = url.partition(":")[0].lower()
    found = entry_points(group=GROUP, name=scheme)
    if found:
        factory = next(iter(found)).load()
    elif scheme in BUILT_IN:
        module, _, name = BUILT_IN[scheme].partition(":")
        factory = getattr(import_module(module), name)
    else:
        known = sorted({*BUILT_IN, *entry_points(group=GROUP).names})
        raise NotOurs(f"No backend is installed for {scheme}: addresses. Installed: {', '.join(known)}.")
    return cast(Backend, await factory.open(url))
