"""`keystead account remove|export`: what goes, what is kept, and who is told."""

import json
import stat

from backends.records import Account, Record
from tests.cli.deployment import PASSWORD, Deployment
from webapp.accounts import joining
from webapp.accounts.context import Context
from webapp.metrics import Metrics
from webapp.notifications.mail import open_mailer
from webapp.notifications.sender import Sender
from webapp.testing.mailbox import text_of


async def everything(ctx: Context) -> list[Record]:
    return [record async for record in ctx.backend.dump()]


def test_a_removed_account_is_gone_and_told(deployment: Deployment, anna: Account) -> None:
    said = deployment.ok("account", "remove", "anna", "--yes")
    assert "With it go 2 keys, 1 session. Its username is free again.\n" in said
    assert said.endswith("What happened on it is deleted as well.\nRemoved anna.\n")
    assert deployment.ask(everything) == []
    told = deployment.mailbox.newest("anna@example.com")
    assert told["subject"] == "Keystead: Your account was removed"
    assert "Hello anna," in text_of(told)
    deployment.ok("account", "add", "anna", "anna@example.com", "--stdin", stdin=f"{PASSWORD}\n")
    deployment.ok("backend", "check")


def test_nobody_is_removed_whom_the_deployer_does_not_mean(deployment: Deployment, anna: Account) -> None:
    assert "Aborted" in deployment.refused("account", "remove", "anna", stdin="n\n")
    assert "There is no account bert." in deployment.refused("account", "remove", "bert", "--yes")
    assert deployment.read() == anna


def test_events_of_a_removed_account_are_kept_sealed(deployment: Deployment, anna: Account) -> None:
    assert "Its events are kept." in deployment.ok("account", "remove", "anna", "--keep-events", "--yes")
    kept = [json.loads(line) for line in deployment.ok("events", "export").splitlines()]
    assert [(event["kind"], event["detail"]) for event in kept] == [("account added", ""), ("account removed", "anna")]
    assert "All is well." in deployment.ok("backend", "check")
    for words in (("account", "list"), ("account", "list", "--json")):
        assert "removed" not in deployment.ok(*words)
    assert "There is no account" in deployment.refused("account", "show", "anna")


def test_nothing_is_done_to_what_is_left_of_somebody_or_to_an_invitation(deployment: Deployment, anna: Account) -> None:
    """Their ids stand in the log. Each change would owe a letter that nobody can get."""
    deployment.ok("account", "remove", "anna", "--keep-events", "--yes")
    deployment.ok("account", "invite", "carl@example.com")
    invited = deployment.ask(lambda ctx: joining.find(ctx.backend, "carl@example.com"))
    assert invited is not None
    before = deployment.ask(everything)
    for command, *rest in (
        ("account password --stdin",), ("account email", "b@example.com"), ("account rename", "bert"), ("account freeze",),
        ("account unfreeze",), ("account preview", "on"), ("account groups", "staff"), ("account remove --yes",),
        ("key unbind",), ("key reinstate", "Blue key"),
    ):  # fmt: skip
        assert "was removed." in deployment.refused(*command.split(), "--", anna.id, *rest, stdin=f"{PASSWORD}\n")
    for command in ("account freeze", "account remove --yes"):
        assert "is invited, and has not joined yet" in deployment.refused(*command.split(), "--", invited.id)
    for id in (anna.id, invited.id):
        assert deployment.ok("account", "show", "--", id)
        assert deployment.ok("events", "export", "--", id)
    assert deployment.ask(everything) == before


def test_the_letter_arrives_also_when_the_mail_server_is_down_at_the_time(deployment: Deployment, anna: Account) -> None:
    done = deployment.run("account", "remove", "anna", "--yes", KEYSTEAD_MAIL="smtp://127.0.0.1:9")
    assert done.returncode == 0
    assert "could not be told by mail yet" in done.stderr
    [left] = deployment.ask(everything)
    assert isinstance(left, Account)

    async def look(ctx: Context) -> None:
        """As the server does, a few minutes later."""
        from datetime import timedelta

        from webapp.testing.clock import Clock

        sender = Sender(ctx.settings, ctx.backend, open_mailer(ctx.settings), Metrics())
        with Clock() as clock:
            clock.move(timedelta(minutes=5))
            await sender.look()
            await sender.settle()

    deployment.ask(look)
    assert deployment.mailbox.newest("anna@example.com")["subject"] == "Keystead: Your account was removed"
    assert deployment.ask(everything) == []


def test_what_we_know_about_somebody_is_printed_or_written_for_its_owner_only(deployment: Deployment, anna: Account) -> None:
    printed = json.loads(deployment.ok("account", "export", "anna"))
    assert printed["account"]["username"] == "anna"
    assert [key["name"] for key in printed["account"]["keys"]] == ["Blue key", "Spare key"]
    file = deployment.folder / "anna.json"
    deployment.ok("account", "export", "anna", str(file))
    assert json.loads(file.read_text()) == printed
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "not overwritten" in deployment.refused("account", "export", "anna", str(file))


def test_an_export_that_cannot_be_written_removes_nobody(deployment: Deployment, anna: Account) -> None:
    file = deployment.folder / "anna.json"
    file.touch()
    assert "Nothing was done" in deployment.refused("account", "remove", "anna", "--export", str(file), "--yes")
    nowhere = str(deployment.folder / "no" / "folder.json")
    assert "Nothing was done" in deployment.refused("account", "remove", "anna", "--export", nowhere, "--yes")
    assert deployment.read() == anna
    file.unlink()
    deployment.ok("account", "remove", "anna", "--export", str(file), "--yes")
    assert json.loads(file.read_text())["account"]["email"] == "anna@example.com"
    assert deployment.ask(everything) == []
