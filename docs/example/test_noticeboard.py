"""The board's own tests: everything about keys comes from Keystead's test kit, and a real Keystead answers on loopback."""

from collections.abc import Iterator

import pytest
from noticeboard import create_app
from starlette.testclient import TestClient

from webapp.testing.mailbox import free_port
from webapp.testing.site import Site
from webapp.testing.stub_key import Faults, StubKey
from webapp.testing.visitor import Visitor

ORIGIN = "https://house.example"


@pytest.fixture
def board(keystead_served: Site) -> Iterator[TestClient]:
    with TestClient(create_app(keystead_served.url, ORIGIN), follow_redirects=False) as client:
        yield client


@pytest.fixture
def anna(keystead_served: Site, stub_key: StubKey) -> Visitor:
    """Somebody who has bound a key, and has just given the password."""
    visitor, me = keystead_served.visitor(), (keystead_served.account.username, keystead_served.password)
    visitor.log_on(*me)
    visitor.bind(stub_key)
    visitor.log_off()
    visitor.log_on(*me)
    return visitor


def as_sent_by(visitor: Visitor) -> dict[str, str]:
    return {"cookie": visitor.cookie, "origin": ORIGIN}


def test_a_stranger_logs_on_at_keystead_and_comes_back(board: TestClient, keystead_served: Site) -> None:
    visitor, account = keystead_served.visitor(), keystead_served.account
    visitor.get(board.get("/board").headers["location"])
    answer = visitor.submit("/logon", username=account.username, password=keystead_served.password)
    assert answer.headers["location"] == "/board"
    assert board.get("/board", headers=as_sent_by(visitor)).status_code == 200


def test_a_password_alone_does_not_open_the_board_to_whoever_has_bound_a_key(board: TestClient, anna: Visitor) -> None:
    assert board.get("/board", headers=as_sent_by(anna)).headers["location"] == "/logon?next=/board"


def test_the_key_opens_the_board_until_its_owner_logs_off(board: TestClient, anna: Visitor, stub_key: StubKey) -> None:
    anna.log_on_with(stub_key)
    assert board.post("/board", data={"notice": "Tea <b>at</b> four"}, headers=as_sent_by(anna)).status_code == 303
    assert "Tea &lt;b&gt;at&lt;/b&gt; four" in board.get("/board", headers=as_sent_by(anna)).text
    kept = as_sent_by(anna)
    anna.log_off()
    assert board.get("/board", headers=kept).status_code == 303


@pytest.mark.parametrize("faults", [{"bad_signature": True}, {"no_presence": True}, {"cancel": True}])
def test_no_answer_that_keystead_refuses_opens_the_board(
    board: TestClient, anna: Visitor, stub_key: StubKey, faults: Faults
) -> None:
    anna.begin_key()
    assert anna.finish_key(stub_key, **faults).status_code == 422
    assert board.get("/board", headers=as_sent_by(anna)).status_code == 303


def test_a_notice_from_elsewhere_is_not_put_up(board: TestClient, anna: Visitor, stub_key: StubKey) -> None:
    anna.log_on_with(stub_key)
    headers = as_sent_by(anna) | {"origin": "https://elsewhere.example"}
    assert board.post("/board", data={"notice": "Buy!"}, headers=headers).status_code == 403
    assert "Buy!" not in board.get("/board", headers=as_sent_by(anna)).text


def test_where_keystead_does_not_answer_nobody_is_let_in() -> None:
    with TestClient(create_app(f"http://localhost:{free_port()}", ORIGIN)) as client:
        assert client.get("/board", headers={"cookie": "keystead=anything"}).status_code == 503
