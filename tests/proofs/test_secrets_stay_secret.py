"""A whole run of everything, and no secret of it in the log or in the records."""

import base64
import logging
import re
from collections.abc import Iterator

import pytest

from webapp import logs
from webapp.testing.mailbox import text_of
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor


class Lines(logging.Handler):
    """What was logged, as it is written for people and for machines."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("httpx2", "httpcore2")):  # the client's own, which is this test's
            self.text += [logs.Text().format(record), logs.Json().format(record)]


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines = Lines()
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(lines)
    yield lines.text
    logger.removeHandler(lines)
    logger.setLevel(before)


def test_nothing_secret_stands_in_the_store_or_the_log_of_a_whole_run(
    keystead: Site, keystead_visitor: Visitor, stub_key: StubKey, logged: list[str]
) -> None:
    visitor, secrets = keystead_visitor, {keystead.password, *keystead.settings.secret_keys, "a new and longer password"}

    def note() -> None:
        secrets.update(visitor.client.cookies.values())
        _, token, _ = visitor.client.cookies["keystead"].split(".")  # whose account it is stands before it, and is no secret
        secrets.add(token)

    visitor.log_on("zoe", keystead.password)
    note()
    visitor.get("/account/security/u2f")
    visitor.submit("/u2f/code")
    code = keystead.mailbox.code()
    visitor.get("/account/security/u2f")
    visitor.follow(visitor.submit("/u2f/verify", code=code))
    note()
    visitor.begin_bind()
    answer = visitor.answer(stub_key)
    secrets |= {answer["ceremony"], answer["credential"]}
    visitor.finish_bind(stub_key)
    note()
    visitor.get("/account/recovery")
    codes = re.findall(r"<code>([A-Z2-7-]{19})</code>", visitor.submit("/account/recovery").text)
    visitor.get("/account/recovery")
    codes += re.findall(r"<code>([A-Z2-7-]{19})</code>", visitor.submit("/account/recovery").text)
    secrets |= {*codes, *(typed.replace("-", "") for typed in codes)}
    visitor.follow(visitor.submit("/recovery/confirm", code=codes[10]))
    visitor.get("/account/recovery/rehearsal")
    visitor.submit("/rehearsal", code=codes[12])
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    note()
    visitor.begin_key()
    visitor.finish_key(stub_key, bad_signature=True)
    visitor.post("/logon/recovery", {"code": codes[11]})
    note()
    visitor.log_off()
    visitor.submit_password("zoe", "not the password at all")
    secrets.add("not the password at all")
    visitor.post("/logon/forgotten", {"username": "zoe"})
    keystead.call(keystead.state["sender"].settle)
    mails = "\n".join(text_of(mail) for mail in keystead.mailbox.mails())
    tokens = set(re.findall(r"token=(\S+)", mails))
    assert len(tokens) > 2
    [reset] = re.findall(r"/logon/reset\?token=(\S+)", mails)
    visitor.get(f"/logon/reset?token={reset}")
    visitor.submit("/logon/reset", new="a new and longer password")
    secrets |= tokens
    assert len(secrets) > 25

    said = "\n".join(logged)
    assert "logged on" in said
    assert "answer rejected" in said
    assert "/logon/reset" in said
    stored = as_written_and_as_meant(b"".join(file.read_bytes() for file in keystead.folder.glob("keystead.db*")))
    for secret in secrets:
        assert secret not in said
        assert secret.encode() not in stored
    assert "zoe@example.com" not in said
    assert not re.search(rf"\b{code}\b", said)
    assert not re.search(rb"\b" + code.encode() + rb"\b", stored)


def as_written_and_as_meant(stored: bytes) -> bytes:
    """What the file holds, and the bytes behind all base64 in it: so digests are written, and so would be a secret."""
    texts = re.findall(rb'"((?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)"', stored)
    assert len(texts) > 25
    return b"\n".join([stored, *map(base64.b64decode, texts)])
