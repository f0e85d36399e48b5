"""A form is read, within ten seconds, before anybody is judged: who holds one back is judged by what is true when it arrives."""

import asyncio
import re
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect

from webapp.web.state import Request

MAX_BODY = 64 * 1024
"""A credential with an attestation certificate takes about 4 kB."""
MAX_FIELDS = 50
SECONDS = 10
_BARE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
"""A percent sign that stands for itself, which no browser sends: to unquote 64 kB of them takes 30 ms, an exception for each."""


class BadForm(Exception):
    """Not a form as our pages send them: `status` is 400, 408, 413 or 415."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def read(request: Request) -> dict[str, str]:
    """The fields of a form as our pages send them; of a field that is there twice, the last. BadForm for anything else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", ""):
        raise BadForm(415)
    try:
        async with asyncio.timeout(SECONDS):
            body = await _body(request)
    except ClientDisconnect:
        raise BadForm(400) from None
    except TimeoutError:
        raise BadForm(408) from None
    return _fields(body)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BadForm(413)
    return bytes(body)


def _fields(body: bytes) -> dict[str, str]:
    if _BARE.search(body):
        raise BadForm(400)
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError:
        raise BadForm(400) from None
    if any("\0" in text for field in fields.items() for text in field):
        raise BadForm(400)
    return fields
