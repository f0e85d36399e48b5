"""`keystead account …`: whoever helps somebody, and what an account tells them."""

import asyncio
import json
import os
import re
import sys
import time
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from backends.records import Account, RecoveryCode
from tests.cli.deployment import NOW, PASSWORD, Deployment
from tests.command import KEYSTEAD
from webapp import clock
from webapp.accounts import identities, opening, owed, passwords, sessions
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.testing.mailbox import text_of

ANOTHER = "another horse entirely"


def test_an_account_is_added_once(deployment: Deployment) -> None:
    assert deployment.ok("account", "add", "Anna", "anna@example.com", "--stdin", stdin=f"{PASSWORD}\n") == "Added Anna.\n"
    account = deployment.read()
    assert (account.username, account.email, account.listed) == ("Anna", "anna@example.com", False)
    assert asyncio.run(passwords.verify(account.password_hash, PASSWORD))
    assert [event.kind for event in deployment.events()] == ["account added"]
    assert "already" in deployment.refused("account", "add", "ANNA", "a@example.com", "--stdin", stdin=f"{PASSWORD}\n")


@pytest.mark.parametrize(
    ("username", "email", "password", "says"),
    [
        ("anna", "anna@example.com", "too short", "at least 12 characters"),
        ("anna", "anna@example.com", "", "at least 12 characters"),
        ("anna", "anna@example.com", "password1234", "tried first"),
        ("anna", "anna", PASSWORD, "not an e-mail address"),
        ("anna", "anna@example.com\nBcc: x@example.com", PASSWORD, "not an e-mail address"),
        (" anna", "anna@example.com", PASSWORD, "without blanks around"),
        ("", "anna@example.com", PASSWORD, "without blanks around"),
        ("a\nb", "anna@example.com", PASSWORD, "printable"),
        ("a" * 65, "anna@example.com", PASSWORD, "64"),
    ],
)
def test_an_account_that_could_not_log_on_is_not_added(
    deployment: Deployment, username: str, email: str, password: str, says: str
) -> None:
    assert says in deployment.refused("account", "add", "--stdin", "--", username, email, stdin=f"{password}\n")
    assert deployment.ok("account", "list").splitlines() == ["USERNAME  E-MAIL  ADDED  KEYS  PREVIEW"]


def test_a_password_is_asked_for_twice_where_nobody_sees_it(deployment: Deployment) -> None:
    """At a terminal of its own, because a password is read from there and not from standard input."""
    child, terminal = os.forkpty()
    if child == 0:
        os.execve(sys.executable, [*KEYSTEAD, "account", "add", "anna", "anna@example.com"], deployment.environ)
    said = b""
    for prompt in (b"New password: ", b"The same again: "):
        while not said.endswith(prompt):
            said += os.read(terminal, 1024)
        time.sleep(0.1)
        os.write(terminal, f"{PASSWORD}\n".encode())
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    said += os.read(terminal, 1024)
    os.close(terminal)
    assert PASSWORD.encode() not in said
    assert "anna" in deployment.ok("account", "list")


def test_accounts_are_listed_and_shown(deployment: Deployment, anna: Account) -> None:
    listed = deployment.ok("account", "list").splitlines()
    assert re.fullmatch(r"anna +anna@example\.com +2026-11-24 03:10 UTC +2", listed[1])
    shown = deployment.ok("account", "show", "ANNA")
    assert shown == deployment.ok("account", "show", "anna@example.com"), "by address as well"
    assert shown == deployment.ok("account", "show", "--", anna.id), "and by the id that stands in the log"
    assert "Needs a key     yes\n" in shown
    assert "Blue key, bound 2026-11-24 03:11 UTC, used 2026-11-24 05:10 UTC\n" in shown
    assert "Codes left      0\n" in shown
    assert "Logged on       Firefox on Linux, 192.0.2.7, 2026-11-24 03:10 UTC\n" in shown
    assert "There is no account bert." in deployment.refused("account", "show", "bert")


def test_nothing_is_said_of_what_is_not_so(deployment: Deployment, anna: Account) -> None:
    shown = deployment.ok("account", "show", "anna")
    assert not re.search("Frozen|Opens|suspended|Letters owed", shown)


def test_whoever_helps_reads_that_an_account_is_frozen_what_is_suspended_and_what_is_left(
    deployment: Deployment, anna: Account
) -> None:
    def befallen(account: Account, act: Act) -> Decision:
        blue, spare = account.keys
        codes = [RecoveryCode(digest=bytes([n]) * 32, made_at=NOW, spent_at=NOW if n < 3 else None) for n in range(10)]
        account = replace(account, keys=(blue, replace(spare, suspended_at=NOW)), recovery_codes=tuple(codes))
        return identities.freeze(owed.owe(account, act, "key bound", facts={"key": "Spare key"}), act)

    frozen = deployment.change(befallen)
    shown = deployment.ok("account", "show", "anna")
    assert frozen.frozen_at is not None
    assert f"Frozen          {_moment(frozen.frozen_at)}\n" in shown
    assert "Spare key, bound 2026-11-24 03:12 UTC, never used, suspended\n" in shown
    assert "Codes left      7\n" in shown
    assert "Letters owed    1\n" in shown
    assert "Logged on" not in shown, "freezing ended the session"


def test_whoever_helps_reads_that_a_key_is_mislaid_and_until_when(deployment: Deployment, anna: Account) -> None:
    def mislaid(account: Account, act: Act) -> Decision:
        keys = (replace(account.keys[0], suspended_at=NOW, mislaid_until=NOW + timedelta(days=7)), *account.keys[1:])
        return Decision(replace(account, keys=keys))

    deployment.change(mislaid)
    until = (NOW + timedelta(days=7)).strftime("%Y-%m-%d %H:%M")
    assert f", mislaid until {until} UTC\n" in deployment.ok("account", "show", "anna")


def test_whoever_helps_reads_when_an_account_will_open_without_its_key(deployment: Deployment, anna: Account) -> None:
    deployment.environ["KEYSTEAD_WAIT"] = "72h"
    waiting = deployment.change(opening.ask)
    assert waiting.opening is not None
    assert f"Opens           {_moment(waiting.opening.opens_at)}, without a key\n" in deployment.ok("account", "show", "anna")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def test_a_new_password_ends_every_session_and_is_told(deployment: Deployment, anna: Account) -> None:
    deployment.ok("account", "password", "anna", "--stdin", stdin=f"{ANOTHER}\n")
    account = deployment.read()
    assert asyncio.run(passwords.verify(account.password_hash, ANOTHER))
    assert account.sessions == ()
    assert [event.kind for event in deployment.events()] == ["account added", "password changed"]
    assert [str(mail["subject"]) for mail in deployment.mailbox.mails()] == ["Keystead: Your password was changed"]
    assert account.notifications == (), "it was sent before the command ended"


def test_an_account_is_listed_for_the_preview_and_taken_off(deployment: Deployment, anna: Account) -> None:
    assert deployment.ok("account", "preview", "anna", "on") == "anna is listed.\n"
    assert "listed" in deployment.ok("account", "list").splitlines()[1]
    assert deployment.ok("account", "preview", "anna", "off") == "anna is not listed.\n"
    assert deployment.read().listed is False


def test_a_lost_mailbox_is_replaced_and_the_old_one_told(deployment: Deployment, anna: Account) -> None:
    assert "anna@new.example" in deployment.ok("account", "email", "anna", "anna@new.example")
    assert deployment.read().email == "anna@new.example"
    told = deployment.mailbox.newest("anna@example.com")
    assert told["subject"] == "Keystead: Your e-mail address was changed"
    assert "anna@new.example" not in text_of(told), "who reads the old mailbox need not know all of the new address"
    assert "keystead command" in text_of(told)
    assert "not an e-mail address" in deployment.refused("account", "email", "anna", "nowhere")


def test_an_address_that_another_account_has_is_given_and_said(deployment: Deployment, anna: Account) -> None:
    added = deployment.run("account", "add", "bert", "Anna@example.com", "--stdin", stdin=f"{PASSWORD}\n")
    assert (added.returncode, added.stderr) == (
        0, "anna is found by this address now. Once two accounts have it, both log on by username only.\n",
    )  # fmt: skip
    deployment.ok("account", "email", "bert", "bert@example.com")
    deployment.ok("account", "email", "bert", "BERT@example.com")
    assert "anna is found" in deployment.run("account", "email", "bert", "anna@example.com").stderr


def test_a_frozen_account_is_opened_once(deployment: Deployment, anna: Account) -> None:
    deployment.change(identities.freeze)
    assert deployment.ok("account", "unfreeze", "anna") == "anna is open again.\n"
    assert deployment.read().frozen_at is None
    assert deployment.ok("account", "unfreeze", "anna") == "anna is not frozen.\n"
    assert [event.kind for event in deployment.events()][-2:] == ["frozen", "unfrozen"]


def test_an_account_that_the_deployer_froze_stays_so_until_they_open_it(deployment: Deployment, anna: Account) -> None:
    assert deployment.ok("account", "freeze", "anna") == "anna is frozen, until `keystead account unfreeze`.\n"
    assert deployment.ok("account", "freeze", "anna") == "anna is frozen already.\n"
    deployment.ok("account", "password", "anna", "--stdin", stdin=f"{ANOTHER}\n")
    frozen = deployment.read()
    assert sessions.is_shut(frozen), "a new password does not open it"
    assert frozen.sessions == ()
    assert ", until `keystead account unfreeze`" in deployment.ok("account", "show", "anna")
    deployment.ok("account", "unfreeze", "anna")
    assert not sessions.is_shut(deployment.read())
    told = [str(mail["subject"]) for mail in deployment.mailbox.mails()]
    assert sorted(told) == [
        "Keystead: Your account is open again",
        "Keystead: Your account was frozen",
        "Keystead: Your password was changed",
    ]


def test_an_account_is_renamed_and_the_old_name_is_free(deployment: Deployment, anna: Account) -> None:
    assert deployment.ok("account", "rename", "anna", "annabel") == "anna is called annabel from now on.\n"
    renamed = deployment.read("annabel")
    assert (renamed.id, renamed.keys, renamed.sessions) == (anna.id, anna.keys, anna.sessions)
    assert "Before      anna\r\n" in text_of(deployment.mailbox.newest("anna@example.com"))
    assert deployment.events("annabel")[-1].kind == "account renamed"
    deployment.ok("account", "add", "anna", "other@example.com", "--stdin", stdin=f"{PASSWORD}\n")
    assert "There is an account ANNA already." in deployment.refused("account", "rename", "annabel", "ANNA")
    assert "without blanks" in deployment.refused("account", "rename", "annabel", " anna")
    assert deployment.ok("account", "rename", "annabel", "Annabel"), "another spelling of one's own name is no other name"


def test_accounts_are_listed_for_programs(deployment: Deployment, anna: Account) -> None:
    deployment.change(identities.bar)
    [line] = deployment.ok("account", "list", "--json").splitlines()
    listed = json.loads(line)
    assert (listed["username"], listed["email"], listed["password"], listed["keys"]) == ("anna", "anna@example.com", "ours", 2)
    assert listed["frozen_at"]
    assert "$argon2" not in line


def test_an_account_that_is_opened_again_still_asks_for_its_suspended_key(deployment: Deployment, anna: Account) -> None:
    def frozen(account: Account, act: Act) -> Decision:
        keys = tuple(replace(key, suspended_at=NOW) for key in account.keys)
        return identities.freeze(replace(account, keys=keys), act)

    deployment.change(frozen)
    assert deployment.ok("account", "unfreeze", "anna") == "anna is open again.\n"
    assert re.search(r"Needs a key +yes", deployment.ok("account", "show", "anna"))
    deployment.ok("key", "reinstate", "anna", "Blue key")
    assert [key.name for key in deployment.read().keys if key.suspended_at is None] == ["Blue key"]


# letters


def test_a_letter_that_no_mail_server_takes_is_left_to_the_server_and_that_is_said(deployment: Deployment, anna: Account) -> None:
    done = deployment.run("account", "password", "anna", "--stdin", stdin=f"{ANOTHER}\n", KEYSTEAD_MAIL="smtp://127.0.0.1:9")
    assert done.returncode == 0
    assert done.stderr == ("anna could not be told by mail yet: 127.0.0.1:9 cannot be reached. The server tries again.\n"), (
        "and nothing that only a log needs"
    )
    [letter] = deployment.read().notifications
    assert (letter.kind, letter.attempts) == ("password changed", 1)
    assert timedelta() < letter.due_at - clock.now() <= owed.PAUSES[0]


def test_it_is_said_also_when_there_is_no_way_for_letters_at_all(deployment: Deployment, anna: Account) -> None:
    (deployment.folder / "taken").touch()
    mail = f"outbox://{deployment.folder}/taken/box"
    done = deployment.run("account", "password", "anna", "--stdin", stdin=f"{ANOTHER}\n", KEYSTEAD_MAIL=mail)
    assert done.returncode == 0
    assert re.fullmatch(r"No mail can leave: .*cannot be made: .*\. The server tries again\.\n", done.stderr)
    assert len(deployment.read().notifications) == 1


def test_an_account_is_added_to_groups(deployment: Deployment) -> None:
    deployment.ok("account", "add", "anna", "a@example.com", "--group", "Staff", "--group", "a", "--stdin", stdin=f"{PASSWORD}\n")
    assert deployment.read().groups == ("a", "staff")
    assert "cannot be a group" in deployment.refused("account", "add", "b", "b@example.com", "--group", "everyone", "--stdin")


def test_an_account_is_put_into_groups(deployment: Deployment, anna: Account) -> None:
    assert deployment.ok("account", "groups", "anna") == "anna is in no group.\n"
    assert deployment.ok("account", "groups", "ANNA", "Staff", "admins") == "anna is in admins, staff.\n"
    assert deployment.ok("account", "groups", "anna") == "anna is in admins, staff.\n"
    assert "Groups          admins, staff\n" in deployment.ok("account", "show", "anna")
    assert "cannot be a group" in deployment.refused("account", "groups", "anna", "a b")
    assert "either" in deployment.refused("account", "groups", "anna", "staff", "--none")
    assert deployment.ok("account", "groups", "anna", "--none") == "anna is in no group.\n"
    assert [event.detail for event in deployment.events()] == ["", "admins, staff", ""]
