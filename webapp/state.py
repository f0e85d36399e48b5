"""What every request can reach, typed. Filled once by the lifespan in `app.py`; only the last three are of one request."""

import starlette.requests
from starlette.datastructures import State as _State

from backends.protocol import Backend
from webapp.mail import Mailer
from webapp.metrics import Metrics
from webapp.readiness import Readiness
from webapp.settings import Settings


class State(_State):
    """`request.state`."""

    settings: Settings
    backend: Backend
    mailer: Mailer
    metrics: Metrics
    readiness: Readiness
    fresh_token: str
    """Set by `sessions` when this answer must carry a new cookie; empty text takes the cookie away."""
    known_browser: str
    """Set by `sessions` when this browser is to be remembered."""
    address: str
    """Set by `limits` when it is first asked for."""


Request = starlette.requests.Request[State]
