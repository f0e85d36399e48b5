"""What every request can reach, typed. Filled once by the lifespan in `app.py`; only from `form` on they are of one request."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import starlette.requests
from starlette.datastructures import State as _State

from backends.protocol import Backend
from backends.records import Account, Notification
from webapp.accounts.apps import Apps
from webapp.accounts.census import Census
from webapp.accounts.codes import Purpose
from webapp.accounts.context import Context
from webapp.accounts.population import Population
from webapp.languages import Language
from webapp.metrics import Metrics
from webapp.settings import Settings
from webapp.web.readiness import Readiness


class Sender(Protocol):
    """What sends letters, as far as requests know it: `webapp.notifications.sender`."""

    def owes(self, account: Account, notifications: Sequence[Notification]) -> None:
        """Send at once what a commit has made due."""

    def later(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this once the answer has gone."""

    async def send_code(
        self, ctx: Context, account: Account, session_id: str, purpose: Purpose, email: str
    ) -> tuple[Account, bool]:
        """Mail a verification code while the person waits; NotSent."""


class State(_State):
    """`request.state`."""

    settings: Settings
    backend: Backend
    sender: Sender
    metrics: Metrics
    readiness: Readiness
    census: Census
    population: Population
    apps: Apps
    form: dict[str, str]
    """Set by the guard of a view that takes a form, before anybody is judged."""
    account: Account
    """Set by the guard that has found who is logged on: pages have it in their head."""
    fresh_token: str
    """Set by `cookies` when this answer must carry a new session cookie; empty text takes the cookie away."""
    known_browser: str
    """Set by `cookies` when this browser is to be remembered."""
    cookies: list[tuple[str, str]]
    """Set by `cookies` when one is first looked for."""
    address: str
    """Set by `client` when it is first asked for."""
    language: Language
    """Set by `client` when it is first asked for, or by the guard that knows whose session it is."""
    spoken: str
    """Set by `cookies` when this browser has chosen a language."""


Request = starlette.requests.Request[State]
