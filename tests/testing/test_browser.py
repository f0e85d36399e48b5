"""The site whose browsers have a key made of code, without a browser; and that nothing which is served can become one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from webapp.testing.browser import ROOM, PluggedIn, Slot
from webapp.testing.site import Site, running
from webapp.testing.stub_key import DOMException, StubKey
from webapp.testing.visitor import CHROME


def plugged(site: Site, slot: Slot) -> TestClient:
    """A browser on a site that has the key in this slot."""
    client = TestClient(PluggedIn(site.app, slot, site.settings.prefix), base_url=site.settings.origin, follow_redirects=False)
    client.portal = site.portal
    client.app_state.update(site.state)
    client.headers |= {"origin": site.settings.origin, "user-agent": CHROME}
    return client


@pytest.mark.parametrize("path", ["", "/account-center"])
def test_a_page_brings_the_script_before_every_other_one(tmp_path: Path, path: str) -> None:
    with running(tmp_path, public_url=f"https://keys.example.com{path}") as site:
        client = plugged(site, Slot(StubKey()))
        page = client.get(f"{path}/logon", headers={"accept-encoding": "gzip"})
        script = f'<script src="{path}{ROOM}script.js"></script>'
        assert 0 < page.text.index(script) < page.text.index("<script defer")
        assert page.text.count(script) == 1
        assert page.text.replace(script, "") == site.visitor().get("/logon").text
        assert int(page.headers["content-length"]) == len(page.content)
        assert "navigator.credentials" in client.get(f"{path}{ROOM}script.js").text
        assert client.head(f"{path}/logon").status_code == 405 or client.head(f"{path}/logon").content == b""


def test_what_is_no_page_stays_as_it_is(keystead: Site) -> None:
    client = plugged(keystead, Slot(StubKey()))
    for path in ("/healthz", "/static/webauthn.js", "/account"):
        assert client.get(path).content == keystead.visitor().client.get(path).content


def test_an_empty_slot_and_a_fault_are_what_the_browser_would_say(keystead: Site) -> None:
    slot = Slot()
    client = plugged(keystead, slot)
    options = json.dumps({"challenge": "AA", "rpId": "localhost", "allowCredentials": []})
    assert client.post(f"{ROOM}get", content=options).json() == {
        "error": "NotAllowedError",
        "message": "NotAllowedError: no key is inserted",
    }
    slot.key = StubKey()
    elsewhere = {"origin": "https://elsewhere.example"}
    assert client.post(f"{ROOM}get", content=options, headers=elsewhere).json()["error"] == "SecurityError"
    slot.faults = {"cancel": True}
    with pytest.raises(DOMException, match="cancelled"):
        slot.answer("get", options, keystead.settings.origin)


@pytest.mark.parametrize(("method", "asked"), [("GET", "create"), ("POST", "report"), ("GET", "")])
def test_the_room_holds_nothing_else(keystead: Site, method: str, asked: str) -> None:
    assert plugged(keystead, Slot()).request(method, ROOM + asked).status_code == 404


NOTHING_OF_THE_KIT = """
import os, sys
import webapp.app, webapp.cli, webapp.cli.demo
app = webapp.app.from_environ()
assert not [route.path for route in app.routes if "stub" in route.path]
print([name for name in sys.modules if name.startswith("webapp.testing")])
"""


def test_nothing_that_is_served_has_the_kit_loaded_whatever_the_environment_says(tmp_path: Path) -> None:
    wishes = ("TESTING", "TEST", "STUB", "STUB_KEY", "DEBUG", "BROWSER", "AUTHENTICATOR")
    environ = {
        **os.environ,
        **{f"{prefix}{wish}": "1" for wish in wishes for prefix in ("", "KEYSTEAD_")},
        "KEYSTEAD_PUBLIC_URL": "http://localhost:8000",
        "KEYSTEAD_SECRET_KEYS": "only-for-tests-but-long-enough-0123456789",
        "KEYSTEAD_BACKEND": f"file://{tmp_path.as_posix()}/keystead.db",
        "KEYSTEAD_MAIL": f"outbox://{tmp_path.as_posix()}",
        "KEYSTEAD_MAIL_FROM": "keystead@example.com",
    }
    command = [sys.executable, "-c", NOTHING_OF_THE_KIT]
    assert subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout == "[]\n"
