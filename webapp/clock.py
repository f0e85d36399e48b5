"""What time it is: aware UTC, cut to milliseconds, because that is what every backend keeps."""

from collections.abc import Callable
from datetime import UTC, datetime

source: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731 - a seam for tests, not a function of ours
"""Where the time comes from. Tests move it; nothing else does."""


def now() -> datetime:
    """The present moment."""
    moment = source()
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
