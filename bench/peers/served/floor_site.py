"""The floor's site: Starlette, python-fido2 with its type hints computed once, itsdangerous, SQLite. No more than that.

No limits, no events, no headers, no pages, no logs; a session is what a signed cookie says. Not for use. A password is hashed as
everybody's is, before the clock runs: what its 19 MiB push out of the processor's caches, the key logons behind it must fetch.
"""

import asyncio
import json
import os
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import argon2
import fido2.utils
from fido2.server import Fido2Server
from fido2.utils import websafe_decode
from fido2.webauthn import Aaguid, AttestedCredentialData, PublicKeyCredentialRpEntity, UserVerificationRequirement
from itsdangerous import URLSafeTimedSerializer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

fido2.utils.get_type_hints = cache(get_type_hints)  # type: ignore[attr-defined, assignment]  # 85% of what fido2 costs as shipped

ORIGIN = "https://accounts.example.com"
COOKIE = "__Host-floor"
PAGE = (
    "<!doctype html><title>Log on</title><form method=post><input name=username><input type=password name=password><button>Log on"
)

server = Fido2Server(PublicKeyCredentialRpEntity(id="accounts.example.com", name="Floor"), verify_origin=lambda o: o == ORIGIN)
hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
serializer = URLSafeTimedSerializer("of-the-bench-only-0123456789-abcdefghij")


@cache
def db() -> sqlite3.Connection:
    return _open(Path(os.environ["BENCH_FOLDER"]))


def seed(folder: Path, people: list[dict[str, Any]]) -> None:
    """Make its records."""
    made = _open(folder)
    made.execute("CREATE TABLE keys (username TEXT PRIMARY KEY, password TEXT, data BLOB, count INTEGER)")
    hashed = hasher.hash(people[0]["password"])
    for person in people:
        key_id, public_key = websafe_decode(person["credential_id"]), websafe_decode(person["public_key"])
        data = bytes(Aaguid(bytes(16))) + len(key_id).to_bytes(2, "big") + key_id + public_key
        made.execute("INSERT INTO keys VALUES (?, ?, ?, 0)", (person["username"], hashed, data))
    made.close()


async def page(request: Request) -> Response:
    return HTMLResponse(PAGE)


async def logon(request: Request) -> Response:
    given = await request.json()
    hashed = db().execute("SELECT password FROM keys WHERE username = ?", (given["username"],)).fetchone()[0]
    await asyncio.to_thread(hasher.verify, hashed, given["password"])
    return _signed(Response(status_code=204), {"username": given["username"], "stage": "half"})


async def begin(request: Request) -> Response:
    session = _session(request)
    wanted = UserVerificationRequirement.DISCOURAGED
    options, state = server.authenticate_begin([_key(session["username"])], user_verification=wanted)
    return _signed(JSONResponse(dict(options)), session | {"state": state})


async def finish(request: Request) -> Response:
    session = _session(request)
    answer = json.loads(await request.body())
    server.authenticate_complete(session["state"], [_key(session["username"])], answer)
    count = int.from_bytes(websafe_decode(answer["response"]["authenticatorData"])[33:37], "big")
    changed = db().execute("UPDATE keys SET count = ? WHERE username = ? AND count < ?", (count, session["username"], count))
    if changed.rowcount != 1:
        return Response(status_code=403)
    return _signed(Response(status_code=204), {"username": session["username"], "stage": "full"})


def _key(username: str) -> AttestedCredentialData:
    return AttestedCredentialData(db().execute("SELECT data FROM keys WHERE username = ?", (username,)).fetchone()[0])


def _session(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = serializer.loads(request.cookies[COOKIE], max_age=600)
    return found


def _signed(response: Response, session: dict[str, Any]) -> Response:
    response.set_cookie(COOKIE, str(serializer.dumps(session)), secure=True, httponly=True, samesite="lax")
    return response


def _open(folder: Path) -> sqlite3.Connection:
    opened = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
    opened.execute("PRAGMA journal_mode = WAL")
    opened.execute("PRAGMA synchronous = FULL")
    return opened


app = Starlette(
    routes=[
        Route("/logon", page),
        Route("/logon", logon, methods=["POST"]),
        Route("/logon/key/begin", begin, methods=["POST"]),
        Route("/logon/key/finish", finish, methods=["POST"]),
    ]
)
