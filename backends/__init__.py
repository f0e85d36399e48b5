"""Where records live, and how an address finds its backend. Never imports anything of `webapp`."""

from importlib import import_module
from typing import Any, cast

from backends.protocol import Backend, IncompatibleStore

GROUP = "keystead.backends"
BUILT_IN = {
    "file": "backends.file:FileBackend",
    "mongodb": "backends.mongo:MongoBackend",
    "mongodb+srv": "backends.mongo:MongoBackend",
}
"""The same as pyproject's entry points: a platform that only installs requirements.txt never installs our metadata.

These are found without looking around, and cannot be taken over by a plug-in.
"""


async def open_backend(url: str) -> Backend:
    """The backend at this address; its scheme names an entry point, whose object has `async open(url) -> Backend`."""
    return cast(Backend, await _factory(url).open(url))


async def migrate(url: str) -> list[str]:
    """Bring what is at this address to this version's schema; the names of the steps that this took.

    A plug-in whose object has no `async migrate(url) -> list[str]` needs none.
    """
    factory = _factory(url)
    return cast(list[str], await factory.migrate(url)) if hasattr(factory, "migrate") else []


def _factory(url: str) -> Any:
    scheme = url.partition(":")[0].lower()
    if scheme in BUILT_IN:
        module, _, name = BUILT_IN[scheme].partition(":")
        return getattr(import_module(module), name)
    from importlib.metadata import entry_points  # reads what every installed package says of itself

    if found := entry_points(group=GROUP, name=scheme):
        return next(iter(found)).load()
    known = sorted({*BUILT_IN, *entry_points(group=GROUP).names})
    raise IncompatibleStore(f"No backend is installed for {scheme}: addresses. Installed: {', '.join(known)}.")
