"""What people see of the applications behind a site: those they may open, and where a logon leads."""

import html
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.responses import PlainTextResponse

from webapp import __version__, clock
from webapp.accounts import apps
from webapp.accounts.apps import Apps
from webapp.testing.behind import PROXY
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor
from webapp.web import probe

WIKI = PlainTextResponse("the wiki")
NONCE = "0" * 64


def text(visitor: Visitor) -> str:
    visitor.get("/account/apps")
    return visitor.page.text


def test_applications_stand_in_the_order_of_their_titles_without_those_that_are_not_open(keystead: Site) -> None:
    keystead.behind(WIKI, "aaa", title="Zoo")
    keystead.behind(WIKI, "zzz", title="archive")
    keystead.behind(WIKI, "staff", title="Staff only", groups=("staff",))
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    said = text(visitor)
    assert 0 < said.index("archive") < said.index("Zoo")
    assert "Staff only" not in said
    assert {"http://aaa.localhost:8000", "http://zzz.localhost:8000"} <= set(visitor.page.links)


def test_where_nothing_is_open_the_page_says_so(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    assert "There is no application yet" in text(keystead_visitor)


def test_every_process_leads_to_the_applications_soon_after_the_first_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a query for it when a page is shown."""
    monkeypatch.setattr(apps, "LEASE", 0.0)
    monkeypatch.setattr(apps, "LOOK_EVERY", 0.05)
    keys = ("a secret that is only for tests, and long enough",)
    with running(tmp_path, secret_keys=keys) as one, running(tmp_path, secret_keys=keys) as other:
        visitors = [site.visitor() for site in (one, other)]
        for visitor in visitors:
            visitor.log_on(one.account.username, one.password)
            assert "/account/apps" not in visitor.page.links
        one.call(apps.change, one.context, "add", apps.new(one.settings, "wiki", ["http://wiki.localhost:9001"], clock.now()))
        for visitor in visitors:
            end = time.monotonic() + 5
            while "/account/apps" not in visitor.page.links and time.monotonic() < end:
                time.sleep(0.05)
                visitor.get("/account")
            assert "/account/apps" in visitor.page.links


@pytest.mark.parametrize(
    ("key", "fresh", "without", "with_key"),
    [
        ("bound", None, "Opens with your logon", "Opens with your logon by key"),
        ("bound", 1, "Asks for a code again after 10 minutes", "Asks for your key again after 1 minute"),
        ("bound", 15, "Asks for a code again after 15 minutes", "Asks for your key again after 15 minutes"),
        ("bound", 60, "Asks for a code again after 1 hour", "Asks for your key again after 1 hour"),
        ("bound", 480, "Asks for a code again after 8 hours", "Asks for your key again after 8 hours"),
        ("required", None, "Opens only with a security key", "Opens with your logon by key"),
    ],
)
def test_each_says_what_it_wants(
    keystead: Site, keystead_visitor: Visitor, stub_key: StubKey, key: str, fresh: int | None, without: str, with_key: str
) -> None:
    keystead.behind(WIKI, "wiki", key=key, fresh=fresh)  # type: ignore[arg-type]
    keystead_visitor.log_on("zoe", keystead.password)
    assert f"{without} " in text(keystead_visitor)
    keystead_visitor.bind(stub_key)
    assert f"{with_key} " in text(keystead_visitor)


def test_without_a_key_a_code_is_asked_for_again_when_the_page_says_so(
    keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock
) -> None:
    app = keystead.behind(WIKI, "wiki", fresh=1)
    keystead_visitor.log_on("zoe", keystead.password)
    keystead_visitor.open(app.url)
    keystead_visitor.follow(keystead_visitor.send_code())
    assert keystead_visitor.follow(keystead_visitor.verify(keystead.mailbox.code())).text == "the wiki"
    keystead_clock.move(timedelta(minutes=10, seconds=-5))
    assert keystead_visitor.client.get(app.url).status_code == 200
    keystead_clock.move(timedelta(seconds=5))
    assert keystead_visitor.client.get(app.url).json()["error"] == "code"


def test_the_logon_says_which_application_it_leads_to(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(WIKI, "wiki", title="The <wiki>")
    answer = keystead_visitor.open(f"{app.url}/page")
    assert "Then you go on to The <wiki>" in keystead_visitor.page.text
    assert html.escape("The <wiki>") in answer.text
    assert keystead_visitor.submit("/logon", username="zoe", password="wrong").status_code == 401
    assert "Then you go on to The <wiki>" in keystead_visitor.page.text


def test_a_process_that_has_not_heard_of_the_application_yet_names_it_too(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(WIKI, "wiki")
    known: Apps = keystead.state["apps"]
    known.last = ()
    known.forget()
    keystead_visitor.get(f"/logon?next={quote(f'/apps/enter?to={app.url}/&nonce={NONCE}')}")
    assert "Then you go on to wiki" in keystead_visitor.page.text


@pytest.mark.parametrize(
    "next",
    [
        "",
        "/account",
        "/apps/enter",
        "/apps/enter?to=",
        "/apps/enter?to=http://elsewhere.example/",
        "/apps/enter?to=http://wiki.localhost:8000.elsewhere.example/",
        "/apps/enter?to=http://wiki.localhost:8000@elsewhere.example/",
        "/account?to=http://wiki.localhost:8000/",
        "//elsewhere.example/apps/enter?to=http://wiki.localhost:8000/",
        "https://elsewhere.example/apps/enter?to=http://wiki.localhost:8000/",
        "/apps/enter?to=" + "a" * 5000,
    ],
)
def test_the_logon_names_no_application_where_it_leads_to_none(keystead: Site, keystead_visitor: Visitor, next: str) -> None:
    keystead.behind(WIKI, "wiki")
    keystead_visitor.get(f"/logon?next={quote(next)}")
    assert "you go on to" not in keystead_visitor.page.text


def test_the_code_is_asked_for_in_the_name_of_the_application(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(WIKI, "wiki", title="The wiki", fresh=15)
    keystead_visitor.log_on("zoe", keystead.password)
    keystead_visitor.open(app.url)
    assert "The wiki Verify it is you The wiki wants to know that it is still you. We send a code" in keystead_visitor.page.text
    assert "/account/apps" in keystead_visitor.page.links
    keystead_visitor.get("/account/security/u2f?then=/account/email")
    assert "wants to know" not in keystead_visitor.page.text


def test_the_touch_names_the_address_that_it_opens(
    keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock, stub_key: StubKey
) -> None:
    app = keystead.behind(WIKI, "wiki", title="The wiki", fresh=1)
    keystead_visitor.log_on("zoe", keystead.password)
    keystead_visitor.bind(stub_key)
    keystead_clock.move(timedelta(minutes=1))
    keystead_visitor.open(app.url)
    assert "wiki.localhost:8000 Touch your key to open The wiki" in keystead_visitor.page.text


def test_doctor_is_told_how_its_question_arrived_and_nobody_else_is(keystead: Site) -> None:
    app, anybody = keystead.behind(WIKI, "wiki"), keystead.visitor().client
    asked = f"{app.url}/.keystead/whoami?{probe.QUERY}="
    told = anybody.get(asked + probe.question(keystead.settings.secret_keys)).json()
    arrived = {"version": __version__, "peer": PROXY, "trusted": True, "host": "wiki.localhost:8000", "app": "wiki"}
    assert told == arrived | {"at": told["at"]}
    for text in ("", "1", probe.question(("another secret of thirty-two signs",))):
        refused = anybody.get(asked + text)
        assert (refused.status_code, refused.json()) == (401, {"error": "logon"})
    direct = anybody.get(f"/.keystead/whoami?{probe.QUERY}={probe.question(keystead.settings.secret_keys)}").json()
    assert (direct["trusted"], direct["app"]) == (False, None)
