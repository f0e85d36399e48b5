"""The domains that the site moved from: whether each serves the file without which no browser asks for its keys here."""

import asyncio
import http.client
import json
import socket
import ssl
from typing import NamedTuple

from webapp.doctor.finding import Context, Finding, ok, unchecked, wrong
from webapp.webauthn import related_origins

SECONDS = 5
LARGEST = 256 * 1024
"""Bytes that browsers read of it."""
_TODO = "Serve there what `keystead moved-file` prints: deploy/nginx.moved.conf and deploy/Caddyfile.moved show how."


class Answer(NamedTuple):
    """What came back."""

    status: int
    kind: str
    body: bytes


async def domains(ctx: Context) -> list[Finding]:
    """Whether each lets its keys be used here. Nothing to say where the site never moved."""
    origin = ctx.settings.origin
    return [await asyncio.to_thread(_look, domain, origin) for domain in related_origins.needed(ctx.settings)]


def _look(domain: str, origin: str) -> Finding:
    address = f"https://{domain}{related_origins.PATH}"
    try:
        answer = _get(domain)
    except ssl.SSLError as error:
        why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else "there is no TLS"
        return wrong(f"Browsers will not trust {address}: {why}.", "Keep a certificate there for as long as its keys are in use.")
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = "the name is not known" if isinstance(error, socket.gaierror) else "nobody answers"
        return unchecked(
            f"{address} cannot be reached from here ({why}). Where browsers cannot either, keys of {domain} open nothing."
        )
    fault = judge(answer, origin)
    return wrong(f"{address} {fault}", _TODO) if fault else ok(f"{address} lets keys of {domain} be used here.")


def judge(answer: Answer, origin: str) -> str:
    """Why browsers would not ask for that domain's keys on our pages; empty if they would (WebAuthn L3 §5.11.1)."""
    if answer.status != 200:
        return f"answers with status {answer.status}, and not with the file."
    if answer.kind != "application/json":
        return f"is served as {answer.kind!r:.60}, and browsers take application/json only."
    try:
        origins = json.loads(answer.body)["origins"]
    except (ValueError, TypeError, KeyError, RecursionError):
        origins = None
    if len(answer.body) > LARGEST or not isinstance(origins, list):
        return "is not the file that browsers look for."
    if origin not in origins:
        return f"does not name {origin}."
    if origins.index(origin) >= related_origins.MAX_NAMES:
        return f"names {origin} behind {related_origins.MAX_NAMES} others: browsers need not read that far."
    return ""


def _get(domain: str) -> Answer:
    """As a browser asks: on port 443, without following to another address."""
    connection = http.client.HTTPSConnection(domain, timeout=SECONDS)
    try:
        connection.request("GET", related_origins.PATH)
        answer = connection.getresponse()
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Answer(answer.status, kind, answer.read(LARGEST + 1))
    finally:
        connection.close()
