"""What is counted for Prometheus. Never anything of a person: every label is a word of ours, from a list that does not grow.

Without `KEYSTEAD_METRICS` nothing is counted, and the library is not even loaded. Where several workers serve, each keeps its
counts in files that all of them read (`PROMETHEUS_MULTIPROC_DIR`, which the serve command sets before anything is counted), so
that whichever worker is asked tells of all. A worker that died stays counted: there is nothing here that goes down again.
"""

import inspect
import os
import time
from collections.abc import Awaitable, Callable
from functools import cache
from platform import python_version
from typing import Any, cast

from backends.protocol import Backend
from webapp import __version__
from webapp.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_METHODS = frozenset({"GET", "HEAD", "POST"})
_OF_A_REQUEST = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_OF_A_QUERY = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)


class Metrics:
    """Counts nothing: what there is where nobody asked for metrics."""

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered by this route, given as its template: paths and queries tell of people."""

    def ceremony(self, purpose: str, outcome: str) -> None:
        """A ceremony was begun, or ended like this."""

    def code_sent(self, purpose: str, outcome: str) -> None:
        """A code was asked for."""

    def code_tried(self, purpose: str, outcome: str) -> None:
        """A code was typed."""

    def limit_hit(self, limit: str) -> None:
        """Somebody did something too often."""

    def event(self, kind: str) -> None:
        """Something happened on an account."""

    def letter(self, kind: str, outcome: str) -> None:
        """A letter was sent, put off, or given up."""

    def timed(self, backend: Backend) -> Backend:
        """The same backend, whose queries are timed."""
        return backend

    def text(self) -> bytes:
        """Everything that was counted, as Prometheus reads it."""
        return b""


class Counted(Metrics):
    """Counts."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus-client has no type here  # a second line for each that nobody reads
        own: Any = {"namespace": "keystead", "registry": CollectorRegistry()}
        requests = Counter("requests", "Requests answered", ["method", "route", "status"], **own)
        seconds = Histogram("request_seconds", "Time to the end of the answer", ["method", "route"], buckets=_OF_A_REQUEST, **own)
        ceremonies = Counter("ceremonies", "Ceremonies begun, and how they ended", ["purpose", "outcome"], **own)
        sent = Counter("codes_sent", "Verification codes asked for", ["purpose", "outcome"], **own)
        tried = Counter("codes_tried", "Verification codes typed", ["purpose", "outcome"], **own)
        hit = Counter("limits_hit", "Requests refused because there were too many", ["limit"], **own)
        happened = Counter("events", "What happened on accounts", ["kind"], **own)
        letters = Counter("letters", "Letters about what happened, and how they ended", ["kind", "outcome"], **own)
        self._backend = Histogram("backend_seconds", "Time of the backend", ["query"], buckets=_OF_A_QUERY, **own)
        build = Gauge("build_info", "What runs", ["version", "python"], multiprocess_mode="max", **own)
        build.labels(__version__, python_version()).set(1)
        self._registry = own["registry"]
        # To look a label up costs more than to count: it is done once for each.
        self._requests, self._seconds = cache(requests.labels), cache(seconds.labels)
        self._ceremonies, self._sent, self._tried, self._hit = map(
            cache, (ceremonies.labels, sent.labels, tried.labels, hit.labels)
        )
        self._events, self._letters = cache(happened.labels), cache(letters.labels)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        method = method if method in _METHODS else "other"
        self._requests(method, route, status).inc()
        self._seconds(method, route).observe(seconds)

    def ceremony(self, purpose: str, outcome: str) -> None:
        self._ceremonies(purpose, outcome).inc()

    def code_sent(self, purpose: str, outcome: str) -> None:
        self._sent(purpose, outcome).inc()

    def code_tried(self, purpose: str, outcome: str) -> None:
        self._tried(purpose, outcome).inc()

    def limit_hit(self, limit: str) -> None:
        self._hit(limit).inc()

    def event(self, kind: str) -> None:
        self._events(kind).inc()

    def letter(self, kind: str, outcome: str) -> None:
        self._letters(kind, outcome).inc()

    def timed(self, backend: Backend) -> Backend:
        return cast(Backend, _Timed(backend, lambda query: self._backend.labels(query).observe))

    def text(self) -> bytes:
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus-client has no type here
        return generate_latest(registry)


def open_metrics(settings: Settings) -> Metrics:
    """What counts, if the deployer wants it to."""
    return Counted() if settings.metrics else Metrics()


class _Timed:
    """A backend of which every query is timed; what is none (a stream of records) is passed on."""

    def __init__(self, backend: Backend, counter: Callable[[str], Callable[[float], None]]) -> None:
        self._backend = backend
        for name in QUERIES:
            setattr(self, name, _timed(getattr(backend, name), counter(name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


QUERIES = [name for name, query in vars(Backend).items() if inspect.iscoroutinefunction(query)]
"""What a backend is asked and answers in one go."""


def _timed(query: Callable[..., Awaitable[Any]], count: Callable[[float], None]) -> Callable[..., Awaitable[Any]]:
    async def ask(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return await query(*args, **kwargs)
        finally:
            count(time.perf_counter() - begun)

    return ask
