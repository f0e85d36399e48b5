"""What the command says of an account whose record another program has damaged: its id and what to do, and all of the others."""

import json
import sqlite3
from contextlib import closing

import pytest

from backends.records import Account
from tests.cli.deployment import PASSWORD, Deployment

MEND = "docs/backends.md, A damaged account, says how to mend it."


@pytest.fixture
def damaged(deployment: Deployment, anna: Account) -> Deployment:
    """Anna's record is none any more; Bert's and Zoe's are as they were."""
    for name in ("bert", "zoe"):
        deployment.ok("account", "add", name, f"{name}@example.com", "--stdin", stdin=f"{PASSWORD}\n")
    deployment.damage()
    return deployment


@pytest.mark.parametrize("words", [
    ("account", "list"), ("account", "list", "--json"), ("account", "invitations"), ("events", "export"), ("events", "expire"),
    ("key", "earlier", "old.example.com"), ("backend", "migrate"),
])  # fmt: skip
def test_what_is_done_with_all_accounts_is_done_without_it(damaged: Deployment, anna: Account, words: tuple[str, ...]) -> None:
    done = damaged.run(*words, KEYSTEAD_EVENTS_KEPT="365d")
    assert done.returncode == 0
    if words != ("account", "invitations"):  # which are looked for by their names
        assert done.stderr.startswith(f"Left out: The row {anna.id} of {damaged.file} is no record as it stands: ")
        assert done.stderr.endswith(f"{MEND}\n")
    if words[:2] in (("account", "list"), ("events", "export")):
        assert len(done.stdout.splitlines()) == (3 if words == ("account", "list") else 2)


def test_the_help_desk_finds_a_browser_behind_it(damaged: Deployment) -> None:
    done = damaged.run("helpdesk", "123456")
    assert done.returncode == 1
    assert "Left out: The row " in done.stderr
    assert "No browser shows 123456." in done.stderr


@pytest.mark.parametrize("words", [("account", "show", "anna"), ("key", "list", "anna@example.com"), ("backend", "backup", "b")])
def test_what_cannot_be_done_without_it_says_why(damaged: Deployment, anna: Account, words: tuple[str, ...]) -> None:
    said = damaged.refused(*words)
    assert said.startswith(f"The row {anna.id} of {damaged.file} is no record as it stands: ")
    assert said.endswith(f"{MEND}\n")


def test_check_names_it_and_looks_at_the_others(damaged: Deployment, anna: Account) -> None:
    damaged.damage("zoe")
    said = damaged.refused("backend", "check")
    assert said.count("is no record as it stands: Object missing required field") == 2
    assert "2 things are wrong." in said


def test_it_can_be_deleted_as_the_page_says_and_the_person_added_anew(damaged: Deployment, anna: Account) -> None:
    with closing(sqlite3.connect(damaged.file)) as db, db:
        db.execute("DELETE FROM accounts WHERE id = ?", (anna.id,))
        db.execute("DELETE FROM credentials WHERE account_id = ?", (anna.id,))
        db.execute("DELETE FROM events WHERE account_id = ?", (anna.id,))
    assert damaged.ok("backend", "check") == "All is well.\n"
    damaged.ok("account", "add", "anna", "anna@example.com", "--stdin", stdin=f"{PASSWORD}\n")
    assert damaged.ok("backend", "check") == "All is well.\n"
    assert damaged.ask(lambda ctx: ctx.backend.rp_ids()) == []


def test_doctor_names_it(damaged: Deployment, anna: Account) -> None:
    done = damaged.run("doctor", "--json")
    (fault,) = [each for each in json.loads(done.stdout)["findings"] if "no record" in each["text"]]
    assert (fault["state"], fault["check"]) == ("wrong", "accounts")
    assert anna.id in fault["text"]
    assert "docs/backends.md, A damaged account" in fault["todo"]
