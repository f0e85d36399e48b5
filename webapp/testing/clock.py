"""Time that tests can move. Only for a site that runs in this process."""

from datetime import UTC, datetime, timedelta

from webapp import clock


class Clock:
    """The time that Keystead reads: the real one, and what it was moved by. A context manager; leaving it, time is real again."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def __enter__(self) -> "Clock":
        self._before = clock.source
        clock.source = self._read
        return self

    def __exit__(self, *_: object) -> None:
        clock.source = self._before

    def move(self, by: timedelta) -> None:
        """On (or back, for a negative duration)."""
        self.moved += by

    def now(self) -> datetime:
        """What Keystead takes the time to be."""
        return clock.now()

    def _read(self) -> datetime:
        return datetime.now(UTC) + self.moved
