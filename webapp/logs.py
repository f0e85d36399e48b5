"""One line for each thing that happens, for people or as JSON. Never a code, token, password, cookie, credential or
e-mail address.

A request is logged by its route and not by its path: paths and queries carry the ids of keys, and tokens of mailed links.
"""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Stands in every line that belongs to the request, and on the page of an error of ours."""


def write(logger: logging.Logger, level: int, what: str, **fields: object) -> None:
    """Log that `what` happened, with these facts. Where in the source that was is in no line of ours, so nobody looks for it."""
    if logger.isEnabledFor(level):
        logger.handle(logger.makeRecord(logger.name, level, "", 0, what, (), None, extra={"fields": fields}))


class Text(logging.Formatter):
    """A line for people: time, level, request, what happened, facts."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={plain(value)}" for name, value in getattr(record, "fields", {}).items())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{_at(record)} {record.levelname:<7} [{request_id.get()}] {plain(record.getMessage())}{facts}{trace}"


class Json(logging.Formatter):
    """A line for machines: one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request": request_id.get(),
            "what": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def config(style: str, *, quiet: bool = False) -> dict[str, Any]:
    """For `logging.config.dictConfig` and uvicorn: all to standard error, uvicorn's own lines included; or only trouble."""
    level = "WARNING" if quiet else "INFO"
    formatter = f"{__name__}.{'Json' if style == 'json' else 'Text'}"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {
            "keystead": {"handlers": ["stderr"], "level": level, "propagate": False},
            "uvicorn": {"handlers": ["stderr"], "level": level, "propagate": False},
        },
    }


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: object) -> str:
    """One line, whatever somebody put into it (CWE-117)."""
    text = str(value)
    return text if text.isprintable() else text.encode("unicode_escape").decode()
