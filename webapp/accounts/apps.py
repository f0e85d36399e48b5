"""Apps: the applications behind the site, and what a session still owes one of them before it opens. Never decides by a path.

All of them stand on one record, the site's own, so that they are changed in one step like anything else, and backed up, sealed
and checked with the accounts.
"""

import re
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from msgspec.structs import replace

from backends.protocol import Backend, Unavailable, UsernameTaken
from backends.records import Account, App, Proof, Session
from webapp.accounts import commits, groups, passwords, sessions
from webapp.accounts.context import Act, Context
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened
from webapp.accounts.identities import SITE
from webapp.settings import Settings, app_origin

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
MAX_APPS, MAX_ORIGINS, MAX_TITLE = 200, 20, 60
MAX_FRESH = timedelta(days=1)
LEASE = 2.0
"""Seconds for which a process may go on with the apps that it has read. Whoever changes them waits for that long."""
LOOK_EVERY = 5.0
"""Seconds between two looks at them for the sake of pages, which say that there are some and ask no backend for it."""
EVERYONE = "everyone"
"""The group that everybody is in: no group of an account can have this name."""

Owed = Literal["group", "binding", "touch", "code"]
PROOFS: dict[Proof | None, str] = {"key": "key", "recovery": "recovery", "code": "password", None: "password"}


class Place(NamedTuple):
    """A page of an app: its app, the origin, and the path, which begins with a slash."""

    app: App
    origin: str
    path: str


class Apps:
    """The apps as they were at most LEASE seconds ago. Made once in each process."""

    def __init__(self) -> None:
        self.last: tuple[App, ...] = ()
        """Those that were read last, however long ago."""
        self._by_host: dict[str, Place] = {}
        self._read_at = -LEASE

    async def read(self, backend: Backend) -> tuple[App, ...]:
        """All apps, by name."""
        now = time.monotonic()
        if now - self._read_at >= LEASE:
            found = await backend.account(SITE)
            self.last = found.apps if found else ()
            self._by_host = {host_of(origin): Place(app, origin, "/") for app in self.last for origin in app.origins}
            self._read_at = now
        return self.last

    async def at(self, backend: Backend, host: str) -> Place | None:
        """The app at this host, which is compared as it stands: in lower case, with its port where it has one of its own."""
        await self.read(backend)
        return self._by_host.get(host)

    async def place(self, backend: Backend, address: str) -> Place | None:
        """The page of an app that has this address. None for any other: no address is taken apart here."""
        await self.read(backend)
        return self.last_place(address)

    def last_place(self, address: str) -> Place | None:
        """The same, by the apps that were read last: for a word on a page, which waits for no backend."""
        for app in self.last:
            for origin in app.origins:
                if address.startswith(f"{origin}/"):
                    return Place(app, origin, address.removeprefix(origin))
        return None

    async def run(self, backend: Backend) -> AsyncGenerator[float, None]:
        """Read them again and again, so that `last` is not old. While the backend cannot, they stay as they were.

        Gives the seconds until it goes on, each time.
        """
        while True:
            with suppress(Unavailable):
                await self.read(backend)
            yield LOOK_EVERY

    def forget(self) -> None:
        """Read them again at the next request: for whoever changes them in this process."""
        self._read_at = -LEASE


def new(
    settings: Settings,
    name: str,
    addresses: Iterable[str],
    now: datetime,
    *,
    title: str = "",
    key_required: bool = False,
    fresh: timedelta | None = None,
    of: Iterable[str] = (),
) -> App:
    """An app that nobody has stored yet. ValueError says what is wrong, for whoever runs the site."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name[:60]!r} cannot be the name of an app: use 1 to 40 of a-z, 0-9 and -, such as wiki.")
    if len(title) > MAX_TITLE or title != title.strip() or not (title.isprintable() or not title):
        raise ValueError(f"a title has at most {MAX_TITLE} printable characters.")
    if fresh and not timedelta(minutes=1) <= fresh <= MAX_FRESH:
        raise ValueError("a proof can be fresh for 1m to 24h.")
    return App(
        name=name,
        title=title,
        origins=_origins(settings, addresses),
        added_at=now,
        key="required" if key_required else "bound",
        fresh=int(fresh.total_seconds() // 60) if fresh else None,
        groups=groups.normalise(of),
    )


def host_of(origin: str) -> str:
    """The host of an origin, with its port where it has one of its own: what stands in a Host header."""
    return origin.partition("://")[2]


def domain_of(origin: str) -> str:
    """The host of an origin without a port: browsers keep cookies by it."""
    return host_of(origin).partition(":")[0]


def called(app: App) -> str:
    """What people read."""
    return app.title or app.name


def is_open_to(app: App, account: Account) -> bool:
    """Whether the account is in a group that may open it."""
    return not app.groups or not set(app.groups).isdisjoint(account.groups)


def owed(app: App, account: Account, session: Session, now: datetime, settings: Settings) -> Owed | None:
    """What an authenticated session still owes the app; None if it opens.

    A key that is bound must have been touched in this session, or a recovery code used instead; where a key is required, only a
    touch will do. `fresh` counts from that touch, or from the code by e-mail where no key is bound. "group": never, for this
    account; "binding": no key is bound, and one is required, by the app or everywhere.
    """
    if not is_open_to(app, account):
        return "group"
    keys = sessions.keys_in_force(account)
    if not keys and (app.key == "required" or sessions.owes_binding(account, now, settings)):
        return "binding"
    if keys and session.proof not in (("key",) if app.key == "required" else ("key", "recovery")):
        return "touch"
    if app.fresh and not _is_fresh(fresh_for(app.fresh, by_key=bool(keys)), session, now):
        return "touch" if keys else "code"
    return None


def fresh_for(minutes: int, *, by_key: bool) -> timedelta:
    """How long a proof is fresh. Where no key is bound, typing another code within ten minutes would show nothing more."""
    return timedelta(minutes=minutes) if by_key else max(timedelta(minutes=minutes), sessions.PROOF_LIFETIME)


def proof_of(account: Account, session: Session) -> str:
    """What the session rests on, as apps are told: a key that is bound, a recovery code, or no more than the password."""
    return PROOFS[session.proof] if sessions.keys_in_force(account) else "password"


def groups_of(account: Account) -> tuple[str, ...]:
    """The groups as apps are told: never none."""
    return (EVERYONE, *account.groups)


async def change(ctx: Context, operation: Literal["add", "remove"], app: App) -> Account:
    """The site's record once the app is added to it, or removed; Refused says why not.

    Processes that know the apps as they were go on with them for LEASE seconds.
    """
    site = await ctx.backend.account(SITE) or await _begun(ctx)
    return await commits.change(ctx, site, add if operation == "add" else remove, app)


async def _begun(ctx: Context) -> Account:
    """The site's record, stored for the first time."""
    act = commits.moment(ctx)
    nobody = f" {SITE}"  # a blank in front: no username, and cut off wherever a name is typed
    site = Account(
        id=SITE, username=nobody, email=nobody, password_hash=passwords.NOBODYS, created_at=act.now, password_at=act.now
    )
    try:
        return await commits.add(ctx, site)
    except UsernameTaken:  # somebody else does the same at this moment
        found = await ctx.backend.account(SITE)
        if found is None:
            raise
        return found


def _origins(settings: Settings, addresses: Iterable[str]) -> tuple[str, ...]:
    origins = tuple(dict.fromkeys(app_origin(address) for address in addresses))
    if not 0 < len(origins) <= MAX_ORIGINS:
        raise ValueError(f"an app has 1 to {MAX_ORIGINS} addresses, such as https://wiki.example.com.")
    if len({domain_of(origin) for origin in origins}) < len(origins):
        raise ValueError("two addresses are at one host: whatever their ports are, they would share their cookies.")
    for origin in origins:
        if domain_of(origin) == settings.rp_id:
            raise ValueError(f"{origin} is at our own host: an app there could read our cookies. Give it a host of its own.")
        if settings.https and not origin.startswith("https:"):
            raise ValueError(f"{origin} must be https, as we are.")
    return origins


def _is_fresh(within: timedelta, session: Session, now: datetime) -> bool:
    return session.proven_at is not None and now - session.proven_at < within


# operations, on the site's record


def add(site: Account, act: Act, app: App) -> Decision:
    """With this app. Refused: "name taken", "origin taken" (its host has another one, whose cookies it would get), "too many"."""
    if any(each.name == app.name for each in site.apps):
        raise Refused("name taken")
    if not _domains([app]).isdisjoint(_domains(site.apps)):
        raise Refused("origin taken")
    if len(site.apps) >= MAX_APPS:
        raise Refused("too many")
    apps = tuple(sorted((*site.apps, app), key=lambda each: each.name))
    return Decision(replace(site, apps=apps), [Happened("app added", app.name)])


def remove(site: Account, act: Act, app: App) -> Decision:
    """Without the app of this name. Refused("no such app")."""
    left = tuple(each for each in site.apps if each.name != app.name)
    if len(left) == len(site.apps):
        raise Refused("no such app")
    return Decision(replace(site, apps=left), [Happened("app removed", app.name)])


def _domains(apps: Sequence[App]) -> set[str]:
    return {domain_of(origin) for app in apps for origin in app.origins}
