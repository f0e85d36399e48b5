"""What machines ask: whether this process answers, whether the backend does, and what was counted."""

import hmac

import anyio
from starlette.responses import JSONResponse, PlainTextResponse, Response

from webapp import __version__, clock, metrics
from webapp.web import client, cookies, guards, probe
from webapp.web.state import Request


@guards.anyone
async def healthz(request: Request) -> Response:
    """This process answers; to `keystead doctor` it says how the question arrived."""
    asked = request.headers.get(probe.HEADER)
    if asked and probe.is_doctors(request.state.settings.secret_keys, asked):
        return _to_the_doctor(request)
    return PlainTextResponse("ok\n")


@guards.anyone
async def readyz(request: Request) -> Response:
    """The backend answers and takes writes, or did within the last second."""
    await request.state.readiness.ask()
    return PlainTextResponse("ok\n")


@guards.anyone
async def counted(request: Request) -> Response:
    """What was counted, for whoever has the secret."""
    given = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {request.state.settings.metrics}".encode()):
        return PlainTextResponse("This is for whoever has the secret.\n", 401, {"www-authenticate": "Bearer"})
    text = await anyio.to_thread.run_sync(request.state.metrics.text)  # several workers' files are read for it
    return Response(text, media_type=metrics.CONTENT_TYPE)


def _to_the_doctor(request: Request) -> Response:
    settings = request.state.settings
    peer = request.client.host if request.client else ""
    answer = JSONResponse(
        {
            "version": __version__,
            "public_url": settings.public_url,
            "at": clock.now().timestamp(),
            "peer": peer,
            "trusted": client.is_trusted(request, peer),
            "forwarded": [claim for claims in client.forwarded(request) for claim in claims],
            "address": client.address(request),
            "origin": request.headers.get("origin", ""),
            "cookie": cookies.plain(request, probe.COOKIE),
        }
    )
    answer.set_cookie(probe.COOKIE, "seen", max_age=60, secure=settings.https, httponly=True, samesite="lax")
    return answer
