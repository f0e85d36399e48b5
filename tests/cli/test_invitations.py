"""`keystead account invite|invitations|withdraw`: who may join."""

import pytest

from backends.records import Account
from tests.cli.deployment import Deployment
from webapp.testing.mailbox import address, text_of


def test_somebody_is_invited_by_mail_and_listed_until_withdrawn(deployment: Deployment) -> None:
    said = deployment.ok("account", "invite", "bert@example.com", "--group", "staff", "--group", "Admins")
    assert said.startswith("bert@example.com is invited until ")
    (mail,) = deployment.mailbox.mails()
    assert address(mail) == "bert@example.com"
    assert "https://account.example.com/join/account?token=" in text_of(mail)
    listed = deployment.ok("account", "invitations").splitlines()
    assert listed[0].split() == ["E-MAIL", "UNTIL", "GROUPS", "LETTER"]
    assert listed[1].startswith("bert@example.com ")
    assert listed[1].endswith("admins, staff  sent")
    assert "bert" not in deployment.ok("account", "list")
    assert deployment.ok("account", "withdraw", "BERT@example.com") == "BERT@example.com is no longer invited.\n"
    assert len(deployment.ok("account", "invitations").splitlines()) == 1
    assert "is not invited" in deployment.refused("account", "withdraw", "bert@example.com")


def test_a_list_is_invited_from_standard_input(deployment: Deployment, anna: Account) -> None:
    lines = "bert@example.com\n\n  carl@example.com\r\nanna@example.com\nbert@example.com\n"
    said = deployment.ok("account", "invite", "--stdin", "--group", "staff", stdin=lines).splitlines()
    assert [line.split(" is ")[0] for line in said[:2]] == ["bert@example.com", "carl@example.com"]
    assert said[2:] == ["anna@example.com has an account already."]
    assert sorted(map(address, deployment.mailbox.mails())) == ["bert@example.com", "carl@example.com"]


@pytest.mark.parametrize("wrong", ["bert", "bert@example.com, carl@example.com", "bert@example.com\x00", "b" * 400])
def test_of_a_list_with_something_wrong_nobody_is_invited(deployment: Deployment, wrong: str) -> None:
    said = deployment.refused("account", "invite", "--stdin", stdin=f"anna@example.com\n{wrong}\n")
    assert "Nobody was invited" in said
    assert len(deployment.ok("account", "invitations").splitlines()) == 1


def test_either_an_address_or_a_list_is_invited(deployment: Deployment) -> None:
    assert "either" in deployment.refused("account", "invite")
    assert "either" in deployment.refused("account", "invite", "a@example.com", "--stdin")
    assert "cannot be a group" in deployment.refused("account", "invite", "a@example.com", "--group", "two words")


def test_who_could_not_be_told_is_named_by_the_address(deployment: Deployment) -> None:
    done = deployment.run("account", "invite", "bert@example.com", KEYSTEAD_MAIL="smtp://127.0.0.1:1")
    assert "bert@example.com could not be told by mail yet" in done.stderr
    assert deployment.ok("account", "invitations").splitlines()[1].endswith("waits")
