"""`keystead helpdesk`: the browser that somebody calls from, and its pass."""

import re
from datetime import timedelta

import pytest

from backends.records import Account, Session
from tests.cli.deployment import Deployment
from webapp import clock
from webapp.accounts import helpdesk, sessions
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.settings import Settings
from webapp.testing.mailbox import text_of

CALLER = "Chromium on Windows"


@pytest.fixture
def number(deployment: Deployment, anna: Account) -> str:
    """What a browser shows in which Anna's password was given, and the help desk asked for."""

    def asked(account: Account, act: Act) -> Decision:
        act = Act(act.now, act.settings, "198.51.100.9", CALLER)
        account = sessions.begin(account, act, sessions.new_token(account.id), "password_only")
        return helpdesk.ask(account, act, account.sessions[-1].id)

    return call_of(deployment, deployment.change(asked)).number


def caller(account: Account) -> Session:
    return next(each for each in account.sessions if each.stage == "password_only")


def call_of(deployment: Deployment, account: Account) -> helpdesk.Call:
    call = helpdesk.call(Settings.from_environ(deployment.environ), caller(account), clock.now())
    assert call
    return call


def kinds(deployment: Deployment) -> list[str]:
    return [event.kind for event in deployment.events()]


@pytest.mark.parametrize("named", [[], ["anna"], ["ANNA@example.com"]])
def test_whoever_helps_sees_browser_words_account_and_what_happened_lately(
    deployment: Deployment, number: str, named: list[str]
) -> None:
    shown, call = deployment.run("helpdesk", number, *named).stdout, call_of(deployment, deployment.read())
    assert re.search(rf"^Number          {number}, until \d{{4}}-\d\d-\d\d \d\d:\d\d UTC$", shown, re.MULTILINE)
    assert f"They say        {call.theirs}\nYou answer      {call.ours}\n" in shown
    assert f"Browser         {CALLER}, 198.51.100.9, since " in shown
    for line in ("Username        anna", "Codes left      0", "Key             Blue key, bound"):
        assert line in shown
    assert re.search(r"^Event           .* UTC, number asked$", shown, re.MULTILINE)
    assert "Logged on       Firefox on Linux" in shown
    assert f"Logged on       {CALLER}" not in shown, "it owes the key"


def test_looking_gives_no_pass_and_is_recorded_with_the_account_and_logged(deployment: Deployment, number: str) -> None:
    done = deployment.run("helpdesk", number)
    assert deployment.read().opening is None
    assert f"keystead helpdesk {number} anna --pass" in done.stdout
    assert kinds(deployment)[-1] == "number looked up"
    assert f"number looked up account={deployment.read().id}" in done.stderr


def test_a_number_is_read_however_it_is_typed_and_a_wrong_one_shows_nothing(deployment: Deployment, number: str) -> None:
    assert "anna" in deployment.run("helpdesk", number.replace("-", "")).stdout
    wrong = "000-000" if number != "000-000" else "111-111"
    for typed in (wrong, "x", "-"):
        said = deployment.refused("helpdesk", "--", typed)
        assert f"No browser shows {typed}" in said
        assert "anna" not in said
    assert "There is no account bert" in deployment.refused("helpdesk", number, "bert")


def test_a_pass_is_given_to_the_browser_that_shows_the_number_told_by_mail_recorded_and_logged(
    deployment: Deployment, number: str
) -> None:
    before = caller(deployment.read())
    done = deployment.run("helpdesk", number, "anna", "--pass", "--yes", KEYSTEAD_HELPDESK_WAIT="48h")
    account = deployment.read()
    assert account.opening
    assert account.opening.token_hash == before.token_hash
    assert account.opening.opens_at - account.opening.asked_at == timedelta(hours=48)
    assert len(account.keys) == 2
    assert f"once, from {account.opening.opens_at:%Y-%m-%d %H:%M} UTC on" in done.stdout
    assert kinds(deployment)[-2:] == ["number looked up", "pass given"]
    assert f"pass given account={account.id}" in done.stderr
    told = deployment.mailbox.newest("anna@example.com")
    assert told["subject"] == "Keystead: A browser will log on without your key"
    assert f"{CALLER}, 198.51.100.9" in text_of(told)
    assert "without a key, once, for the browser with the pass" in deployment.ok("account", "show", "anna")
    assert "No browser shows" in deployment.refused("helpdesk", number), "a number gets one pass"


def test_a_pass_is_asked_about_before_it_is_given(deployment: Deployment, number: str) -> None:
    assert "Are you sure that it is anna who calls?" in deployment.refused("helpdesk", number, "--pass", stdin="n\n")
    assert deployment.read().opening is None
    deployment.run("helpdesk", number, "--pass", stdin="y\n")
    assert deployment.read().opening
