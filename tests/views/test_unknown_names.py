"""What an answer tells of a name that nobody has: nothing, neither by its words nor by its time."""

import asyncio

import pytest

from backends.records import Account
from tests.views.mails import subjects
from webapp.testing.site import Site


@pytest.mark.parametrize(
    ("path", "subject"),
    [("/logon/forgotten", "Your username, and a new password"), ("/logon/known/ask", "Log on from this browser")],
)
def test_the_mail_is_seen_to_once_the_answer_has_gone(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, path: str, subject: str
) -> None:
    """The answer is there before the account is looked up, so that its time does not tell whether there is one."""
    answered, named = asyncio.Event(), keystead.backend.account_named

    async def once_answered(name: str) -> Account | None:
        await asyncio.wait_for(answered.wait(), 5)
        return await named(name)

    monkeypatch.setattr(keystead.backend, "account_named", once_answered)
    assert keystead.visitor().post(path, {"username": "zoe"}).status_code == 200
    assert subjects_so_far(keystead) == []
    keystead.portal.call(answered.set)
    assert subjects(keystead) == [subject]


def subjects_so_far(site: Site) -> list[str]:
    return [str(mail["subject"]) for mail in site.mailbox.mails()]
