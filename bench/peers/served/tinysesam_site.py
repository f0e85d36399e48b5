# mypy: ignore-errors
"""TinySesam as its README sets it up, behind a proxy that it trusts. As a program: make the accounts.

The limits work as they do in use, and have been set so high that a benchmark does not reach them.
"""

import json
import os
from pathlib import Path

from fastapi import Depends, FastAPI
from tinysesam import TinySesam, TinySesamConfig

FOLDER = Path(os.environ["BENCH_FOLDER"])
ORIGIN = "https://accounts.example.com"

auth = TinySesam(
    TinySesamConfig(
        db_path=str(FOLDER / "tinysesam.db"),
        base_url=ORIGIN,
        origin=ORIGIN,
        rp_id="accounts.example.com",
        passkey_enabled=True,
        trusted_proxies=["127.0.0.1"],
    )
)


def seed() -> None:
    auth.ensure_admin("admin", "correct horse battery staple 43")
    auth.set_security("rate_limit_max", 100000)
    for person in json.loads((FOLDER / "people.json").read_text()):
        account = auth.create_user(person["username"], password=person["password"], email=person["email"])
        assert str(account) == person["handle"], account
        auth.store.add_webauthn(account, person["credential_id"], person["public_key"], 0, ["usb"], "Bench key")


if __name__ == "__main__":
    seed()
else:
    app = FastAPI()
    app.include_router(auth.router())

    who = Depends(auth.require_user)

    @app.get("/")
    def home(user=who):
        return {"hi": user["username"]}
