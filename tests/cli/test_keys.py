"""`keystead key …`: what somebody has bound, and what becomes of a key that is lost."""

import pytest
from msgspec.structs import replace

from backends.records import Account, RecoveryCode
from tests.cli.deployment import NOW, Deployment
from webapp.accounts import identities
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.testing.mailbox import text_of


def names(deployment: Deployment) -> list[str]:
    return [key.name for key in deployment.read().keys]


def test_keys_are_listed(deployment: Deployment, anna: Account) -> None:
    lines = deployment.ok("key", "list", "anna").splitlines()
    assert lines[1] == "Blue key   2026-11-24 03:11 UTC  used 2026-11-24 05:10 UTC  AQEBAQEBAQEBAQEBAQEBAQ"
    assert lines[2] == "Spare key  2026-11-24 03:12 UTC  never used                 AgICAgICAgICAgICAgICAg"


@pytest.mark.parametrize("which", ["Blue key", "AQEBAQEBAQEBAQEBAQEBAQ", "AQE"])
def test_a_lost_key_is_unbound_and_its_owner_told(deployment: Deployment, anna: Account, which: str) -> None:
    assert deployment.ok("key", "unbind", "anna", which, "--yes") == "Unbound Blue key. anna is logged off everywhere.\n"
    assert names(deployment) == ["Spare key"]
    assert deployment.read().sessions == ()
    event = deployment.events()[-1]
    assert (event.kind, event.detail, event.seq) == ("key unbound", "Blue key", 2)
    assert "All is well." in deployment.ok("backend", "check"), "sealed"
    [letter] = deployment.mailbox.mails()
    assert "Blue key" in text_of(letter)
    assert "whoever runs Keystead" in text_of(letter)


def test_whoever_reads_chinese_is_told_in_chinese_and_the_command_speaks_english(deployment: Deployment, anna: Account) -> None:
    deployment.change(identities.speak, "zh-CN")
    assert deployment.ok("key", "unbind", "anna", "Blue key", "--yes").startswith("Unbound Blue key.")
    [letter] = deployment.mailbox.mails()
    assert "Keystead 的管理员" in text_of(letter), "who unbound it"
    assert "Blue key" in text_of(letter)


def test_without_a_name_every_key_is_unbound_once_that_is_confirmed(deployment: Deployment, anna: Account) -> None:
    assert deployment.run("key", "unbind", "anna", stdin="n\n").returncode == 1
    assert len(names(deployment)) == 2
    assert "Unbind Blue key, Spare key from anna" in deployment.ok("key", "unbind", "anna", stdin="y\n")
    assert names(deployment) == []
    assert len(list(deployment.mailbox.mails())) == 2, "one for each key"
    assert "anna has no key." in deployment.refused("key", "unbind", "anna", "--yes")


@pytest.mark.parametrize(
    ("which", "says"), [("A", "Several keys match A."), ("Red key", "No key matches Red key."), ("", "Several")]
)
def test_a_key_that_is_not_named_clearly_stays(deployment: Deployment, anna: Account, which: str, says: str) -> None:
    assert says in deployment.refused("key", "unbind", "anna", which, "--yes")
    assert len(names(deployment)) == 2


def test_keys_of_an_earlier_domain_are_listed_and_unbound_where_another_is_bound_here(
    deployment: Deployment, anna: Account
) -> None:
    def bound_to(account: Account, act: Act, *domains: str) -> Decision:
        return Decision(
            replace(account, keys=tuple(replace(key, rp_id=to) for key, to in zip(account.keys, domains, strict=True)))
        )

    old, new = "old.example.com", "account.example.com"
    assert deployment.ok("key", "earlier", old) == "No key is bound to old.example.com.\n"
    deployment.change(bound_to, old, old)
    assert [line.split()[-2] for line in deployment.ok("key", "earlier", old, "--unbind").splitlines()[1:]] == ["no", "no"]
    assert len(names(deployment)) == 2, "they are all that keeps a thief of the password out"
    deployment.change(bound_to, old, new)
    listed = deployment.ok("key", "earlier", old).splitlines()
    assert listed[0].split() == ["USERNAME", "NAME", "USED", "HERE", "TOO", "ID"]
    assert [line.split()[:3] + line.split()[-2:-1] for line in listed[1:]] == [["anna", "Blue", "key", "yes"]]
    assert "No key is bound to" in deployment.ok("key", "earlier", old, "--unbind")
    assert names(deployment) == ["Spare key"]
    assert len(list(deployment.mailbox.mails())) == 1
    assert "nobody moved from there" in deployment.refused("key", "earlier", new, "--unbind")


def test_recovery_codes_go_with_the_last_key_and_not_before(deployment: Deployment, anna: Account) -> None:
    def with_a_code(account: Account, act: Act) -> Decision:
        return Decision(replace(account, recovery_codes=(RecoveryCode(digest=b"on paper", made_at=NOW),)))

    deployment.change(with_a_code)
    deployment.ok("key", "unbind", "anna", "Blue key", "--yes")
    assert deployment.read().recovery_codes
    deployment.ok("key", "unbind", "anna", "Spare key", "--yes")
    assert deployment.read().recovery_codes == (), "codes stand in for a key"
    assert "All is well." in deployment.ok("backend", "check")


def test_a_key_is_unbound_also_when_its_owner_cannot_be_told(deployment: Deployment, anna: Account) -> None:
    done = deployment.run("key", "unbind", "anna", "--yes", KEYSTEAD_MAIL="smtp://127.0.0.1:9")
    assert done.returncode == 0
    assert done.stderr.count("anna could not be told by mail yet") == 1, "once, though it is two letters"
    account = deployment.read()
    assert account.keys == ()
    assert [letter.kind for letter in account.notifications] == ["key unbound", "key unbound"]


def test_a_suspended_key_is_asked_for_again_by_whoever_helps(deployment: Deployment, anna: Account) -> None:
    def suspended(account: Account, act: Act) -> Decision:
        return Decision(replace(account, keys=tuple(replace(key, suspended_at=NOW) for key in account.keys)))

    deployment.change(suspended)
    assert deployment.ok("key", "reinstate", "anna", "Blue key") == "Blue key is asked for at the logon of anna.\n"
    assert [key.suspended_at for key in deployment.read().keys] == [None, NOW]
    assert deployment.events()[-1].kind == "key reinstated"
    assert "No key matches" in deployment.refused("key", "reinstate", "anna", "Red key")
