"""The board's own tests, behind a real Keystead in this process: all about keys comes from Keystead's test kit."""

from datetime import timedelta

import pytest
from noticeboard import create_app
from starlette.testclient import TestClient

from webapp.testing.behind import Behind
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import Faults, StubKey
from webapp.testing.visitor import Unexpected, Visitor

ORIGIN = "http://board.localhost:8000"


@pytest.fixture
def board(keystead: Site) -> Behind:
    return keystead.behind(create_app(ORIGIN), "board", at=ORIGIN)


@pytest.fixture
def anna(keystead: Site, keystead_visitor: Visitor, stub_key: StubKey) -> Visitor:
    """Somebody who has bound a key, and has logged off."""
    keystead_visitor.log_on(keystead.account.username, keystead.password)
    keystead_visitor.bind(stub_key)
    keystead_visitor.log_off()
    return keystead_visitor


def enter(visitor: Visitor, board: Behind, site: Site, key: StubKey | None = None) -> None:
    """Open the board, and log on for it."""
    visitor.open(board.url)
    visitor.log_on(site.account.username, site.password, key)


def test_the_key_opens_the_board_until_its_owner_logs_off(
    board: Behind, anna: Visitor, keystead: Site, stub_key: StubKey
) -> None:
    enter(anna, board, keystead, stub_key)
    assert "You are zoe" in anna.page.text
    anna.log_off()
    anna.open(board.url)
    assert anna.page.form("/logon")


def test_a_password_alone_does_not_open_it_to_whoever_has_bound_a_key(board: Behind, anna: Visitor, keystead: Site) -> None:
    enter(anna, board, keystead)
    assert anna.page.form("/logon/key/begin")
    assert anna.client.get(board.url).status_code == 401


@pytest.mark.parametrize("faults", [{"bad_signature": True}, {"no_presence": True}, {"cancel": True}])
def test_no_answer_that_keystead_refuses_opens_it(
    board: Behind, anna: Visitor, keystead: Site, stub_key: StubKey, faults: Faults
) -> None:
    enter(anna, board, keystead)
    with pytest.raises(Unexpected):
        anna.log_on_with(stub_key, **faults)
    assert anna.client.get(board.url).status_code == 401


def test_where_that_is_asked_for_the_key_is_touched_again_after_an_hour(
    anna: Visitor, keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    board = keystead.behind(create_app(ORIGIN), "board", at=ORIGIN, fresh=60)
    enter(anna, board, keystead, stub_key)
    keystead_clock.move(timedelta(hours=1))
    anna.open(board.url)
    anna.touch_for_app(stub_key)
    assert "Notice board" in anna.page.title


def test_only_its_author_takes_a_notice_down(board: Behind, anna: Visitor, keystead: Site, stub_key: StubKey) -> None:
    enter(anna, board, keystead, stub_key)
    anna.follow(anna.submit("/", notice="Tea <b>at</b> four"))
    assert "Tea <b>at</b> four (zoe)" in anna.page.text
    ben = keystead.add_account("ben")
    visitor = keystead.visitor(ben)
    visitor.open(board.url)
    visitor.log_on(ben.username, keystead.password)
    assert "/down/1" not in [form.action for form in visitor.page.forms]
    assert visitor.client.post(f"{board.url}/down/1", headers={"origin": ORIGIN}).status_code == 403
    anna.open(board.url)
    assert anna.submit("/down/1").status_code == 303


def test_a_notice_from_elsewhere_is_not_put_up(board: Behind, anna: Visitor, keystead: Site, stub_key: StubKey) -> None:
    enter(anna, board, keystead, stub_key)
    headers = {"origin": "https://elsewhere.example"}
    assert anna.client.post(board.url, data={"notice": "Buy!"}, headers=headers).status_code == 403
    anna.open(board.url)
    assert "Buy!" not in anna.page.text


def test_who_gets_past_the_proxy_sees_nothing() -> None:
    with TestClient(create_app(ORIGIN)) as client:
        assert client.get("/").status_code == 403
