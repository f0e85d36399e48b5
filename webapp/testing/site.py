"""A Keystead that runs in this process: the real application on a real file backend, in a folder that the caller gives."""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http.cookiejar import Cookie, DefaultCookiePolicy
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.request import Request

from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from backends import migrate
from backends.protocol import Backend, UsernameTaken
from backends.records import Account, Wish
from webapp import clock
from webapp.accounts import apps, commits, passwords
from webapp.accounts.context import Context
from webapp.accounts.decision import Operation
from webapp.app import create_app
from webapp.settings import Settings
from webapp.testing.behind import TRUSTED, Behind, Hosts, Relay, origin_of, started
from webapp.testing.mailbox import Outbox
from webapp.testing.visitor import Visitor

P = ParamSpec("P")
T = TypeVar("T")

PASSWORD = "correct horse battery staple"  # noqa: S105 - everybody's, in tests
ADDRESS = "192.0.2.1"
"""Where visitors come from unless they say otherwise (TEST-NET-1, RFC 5737)."""


@dataclass(slots=True)
class Site:
    """The site. `account` is there from the start; its password is `password`, as that of every account made here."""

    settings: Settings
    app: Starlette
    mailbox: Outbox
    folder: Path
    password: str = PASSWORD
    hosts: Hosts = field(init=False)
    """ASGI: the site, and what was put behind it."""
    _host: TestClient | None = None
    _account: Account | None = None
    _leaving: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.hosts = Hosts(self._answer, {})

    @property
    def account(self) -> Account:
        """The account that is there from the start."""
        if self._account is None:
            try:
                self._account = self.add_account("zoe")
            except UsernameTaken:  # the folder is that of a site that ran before
                found = self.call(self.backend.account_named, "zoe")
                if found is None:
                    raise
                self._account = found
        return self._account

    @property
    def url(self) -> str:
        """The address that people type."""
        return self.settings.public_url

    @property
    def state(self) -> dict[str, Any]:
        """What every request can reach, as the application put it together when it started."""
        return dict(self._running.app_state)

    @property
    def backend(self) -> Backend:
        """Its backend. Ask it through `call`: it belongs to the site's event loop."""
        backend: Backend = self.state["backend"]
        return backend

    @property
    def portal(self) -> BlockingPortal:
        """The way into the site's event loop, which runs in a thread of its own."""
        if self._running.portal is None:
            raise RuntimeError("the site does not run")
        return self._running.portal

    def call(self, question: Callable[..., Awaitable[T]], *args: Any) -> T:
        """The answer to a query of the backend (or of anything else that is awaited), asked in the site's event loop."""
        return self.portal.call(question, *args)

    def add_account(self, username: str, **changes: Any) -> Account:
        """Another account with the same password."""
        now = clock.now()
        given: dict[str, Any] = {
            "id": secrets.token_urlsafe(16),
            "email": f"{username}@example.com",
            "password_hash": self.call(passwords.hash, self.password),
            "created_at": now,
            "password_at": now,
        }
        account = Account(username=username, **given | changes)
        return self.call(commits.add, self.context, account)

    @property
    def context(self) -> Context:
        """What operations are carried out with at this site, by nobody's session."""
        return Context(self.settings, self.backend, self.state["metrics"], owes=self.state["sender"].owes)

    def read(self, account: Account | None = None) -> Account:
        """The account as it is now; the first one, if none is named."""
        found = self.call(self.backend.account, (account or self.account).id)
        if found is None:
            raise LookupError("the account is gone")
        return found

    def change(self, account: Account, operation: Operation[P], *args: P.args, **kwargs: P.kwargs) -> Account:
        """The account once this operation is committed, decided about what is stored."""
        return self.call(partial(commits.change, self.context, self.read(account), operation, *args, **kwargs))

    def visitor(self, account: Account | None = None, *, htmx: bool = False, address: str = ADDRESS) -> Visitor:
        """Somebody at a browser of their own, who reads the mail of this account (else of the first)."""
        client = TestClient(self.hosts, base_url=self.settings.origin, client=(address, 50000))
        client.portal = self.portal
        client.cookies.jar.set_policy(_AsBrowsers())
        email = (account or self.account).email
        return Visitor(client, mailbox=self.mailbox, email=email, htmx=htmx, prefix=self.settings.prefix)

    def behind(
        self,
        app: ASGIApp,
        name: str,
        *,
        at: str = "",
        title: str = "",
        key: Wish = "bound",
        fresh: int | None = None,
        groups: Iterable[str] = (),
    ) -> Behind:
        """This application behind the site, with a proxy that asks whether somebody may open it; visitors reach it at its `url`.

        The rest is what `keystead app add` takes: `key` is "required" where everybody needs one, `fresh` how many minutes old a
        touch may be, and `groups` who may open it. `at` is its address, if it is to have another than `name` below the site's
        host. It is started now, and stopped with the site.
        """
        origin, within = at or origin_of(name, self.settings.public_url), timedelta(minutes=fresh) if fresh else None
        made = apps.new(
            self.settings, name, [origin], clock.now(), title=title, key_required=key == "required", fresh=within, of=groups
        )
        self.call(apps.change, self.context, "add", made)
        known = self.state["apps"]
        known.forget()
        self.call(known.read, self.backend)
        answering, state = self._leaving.enter_context(started(app, self.portal))
        self.hosts.behind[apps.host_of(made.origins[0])] = Relay(answering, self.hosts.keystead, made.origins[0], state)
        return Behind(name, made.origins[0])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The site's application, which is started already, in the state that it started with."""
        await self.app({**scope, "state": self.state}, receive, send)

    @property
    def _running(self) -> TestClient:
        if self._host is None:
            raise RuntimeError("the site does not run")
        return self._host


class _AsBrowsers(DefaultCookiePolicy):
    """A cookie that names no domain goes to the host that set it, and to none below. One that a test put in goes everywhere."""

    def __init__(self) -> None:
        super().__init__(strict_ns_domain=self.DomainStrictNonDomain)

    def return_ok_domain(self, cookie: Cookie, request: Request) -> bool:
        return not cookie.domain or super().return_ok_domain(cookie, request)


@contextmanager
def running(folder: Path, **changes: Any) -> Iterator[Site]:
    """A site that runs until the block is left. `changes` are fields of Settings; the backend is a file in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    mailbox = Outbox(folder / "outbox")
    given: dict[str, Any] = {
        "public_url": "http://localhost:8000",
        "secret_keys": (secrets.token_urlsafe(32),),
        "backend": f"file://{(folder / 'keystead.db').resolve().as_posix()}",
        "mail": mailbox.url,
        "mail_from": "keystead@example.com",
    }
    settings = Settings(**given | changes | {"trusted_proxies": (*changes.get("trusted_proxies", ()), TRUSTED)})
    with start_blocking_portal() as portal:  # the caller may have an event loop in this thread
        portal.call(migrate, settings.backend)
    app = create_app(settings)
    with TestClient(app, base_url=settings.origin) as host:
        site = Site(settings, app, mailbox, folder, _host=host)
        _ = site.account
        with site._leaving:
            yield site
