"""`keystead backend …`: records are made ready, looked at and carried elsewhere; and no password is left on a command line."""

import hashlib
import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from backends.records import Account
from tests.cli import deployment as deployments
from tests.cli.deployment import PLAIN, Deployment
from tests.command import KEYSTEAD
from webapp import signing
from webapp.accounts import identities

SECRETS = (
    "mongodb://user:pw@host/keystead",
    "mongodb://user:p/w@host/",
    "mongodb://u:pw@one:27017,two:27017/keystead",
    "shelf://host/?password=pw",
    "mongodb://host/?tlsCertificateKeyFilePassword=pw",
)
WITHOUT = ("mongodb://user@host/keystead", "mongodb://host:27017/keystead", "file:///var/a:b@c/keystead.db")


def copied(deployment: Deployment, name: str) -> Path:
    """The file as it is now, for a test to change behind our back."""
    target = deployment.folder / name
    with closing(sqlite3.connect(deployment.file)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
    return target


def changed(deployment: Deployment, name: str, script: str) -> str:
    """The address of a copy of the file that was changed behind our back."""
    file = copied(deployment, name)
    with closing(sqlite3.connect(file)) as db:
        db.executescript(script)
    return file.as_uri()


# addresses


COMMANDS = [("check", "--url"), ("copy", "file:///nowhere.db"), ("restore", __file__, "--url")]


@pytest.mark.parametrize(
    ("words", "url"), [*((COMMANDS[0], url) for url in SECRETS), *((words, SECRETS[0]) for words in COMMANDS[1:])]
)
def test_an_address_with_a_password_is_refused_on_the_command_line(
    deployment: Deployment, words: tuple[str, ...], url: str
) -> None:
    said = deployment.refused("backend", *words, url)
    assert "holds a password, which everybody on this machine could read" in " ".join(said.split())
    assert "pw" not in said.replace("p/w", "pw")


@pytest.mark.parametrize("url", WITHOUT)
def test_an_address_without_one_is_taken(deployment: Deployment, url: str) -> None:
    """As an address, that is: nobody answers there."""
    assert "which everybody" not in deployment.refused("backend", "check", "--url", f"{url}?timeoutMS=200")


def test_the_same_address_in_a_variable_is_taken_by_its_name_and_as_the_default(deployment: Deployment) -> None:
    """It goes as far as asking for a server that is not there."""
    url = "mongodb://user:pw@127.0.0.1:9/keystead?timeoutMS=200"
    for said in (
        deployment.refused("backend", "check", "--url", "OLD_ADDRESS", OLD_ADDRESS=url),
        deployment.refused("backend", "copy", "OLD_ADDRESS", "file:///nowhere.db", OLD_ADDRESS=url),
        deployment.refused("backend", "check", KEYSTEAD_BACKEND=url),
        deployment.refused("events", "export", KEYSTEAD_BACKEND=url),
    ):
        assert "does not answer" in said
        assert "pw" not in said


def test_a_variable_that_is_not_set_and_no_address_at_all_are_said(deployment: Deployment) -> None:
    said = deployment.refused("backend", "check", "--url", "OLD_ADDRESS")
    assert "OLD_ADDRESS is no address (such as file:///…), and no variable of that name is set." in " ".join(said.split())
    done = subprocess.run([*KEYSTEAD, "backend", "check"], env=PLAIN, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--url" in done.stderr


def test_two_accounts_of_one_name_are_not_copied_and_check_says_what_to_do(deployment: Deployment, anna: Account) -> None:
    """As another program may have left them."""
    deployment.add(replace(anna, id="bert", username="bert", email="bert@example.com", keys=(), sessions=()))
    with closing(sqlite3.connect(deployment.file)) as db, db:
        db.execute(
            """UPDATE accounts SET document = replace(document, '"username":"bert"', '"username":"anna"') WHERE id = 'bert'"""
        )
    said = deployment.refused("backend", "check")
    assert "account bert is not found by its name" in said
    assert "What is to be done: docs/backends.md, What check finds.\n" in said
    said = deployment.refused("backend", "copy", "KEYSTEAD_BACKEND", f"{deployment.file.as_uri()}2")
    assert "Two accounts have one username, or one key" in said


def test_an_address_that_cannot_be_is_said_in_plain_words(deployment: Deployment) -> None:
    text = deployment.folder / "notes.txt"
    text.write_text("not a database " * 100)
    assert "Installed:" in deployment.refused("backend", "check", "--url", "redis://localhost/")
    assert str(text) in deployment.refused("backend", "check", "--url", text.as_uri())


# copies


def test_everything_is_copied_from_one_address_to_another(deployment: Deployment, anna: Account) -> None:
    source, target = deployment.file.as_uri(), (deployment.folder / "copy.db").as_uri()
    said = deployment.ok("backend", "copy", source, "TARGET", TARGET=target)
    assert said.startswith("Copied and compared: 1 accounts, 1 events.\n")
    assert deployment.ok("backend", "check", "--url", target) == "All is well.\n"
    assert "holds records already" in deployment.refused("backend", "copy", source, target)


def test_a_backup_is_json_lines_for_its_owner_alone_and_comes_back_equal(deployment: Deployment, anna: Account) -> None:
    file, again = deployment.folder / "backup.jsonl", deployment.folder / "again.jsonl"
    deployment.ok("backend", "backup", str(file))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert file.stat().st_mode & 0o077 == 0
    assert any("Blue key" in json.dumps(line) for line in lines)
    assert "exists already" in deployment.refused("backend", "backup", str(file))
    restored = (deployment.folder / "restored.db").as_uri()
    deployment.ok("backend", "restore", str(file), "--url", restored)
    deployment.ok("backend", "backup", str(again), "--url", restored)
    assert again.read_text().splitlines()[1:-1] == file.read_text().splitlines()[1:-1]


@pytest.mark.parametrize("command", ["backup", "heads"])
def test_a_file_that_cannot_be_written_is_named(deployment: Deployment, command: str) -> None:
    said = deployment.refused("backend", command, str(deployment.folder / "nowhere" / "file"))
    assert said.endswith("/nowhere/file.part cannot be used: No such file or directory.\n")


def test_a_backup_that_was_cut_off_is_not_restored(deployment: Deployment, anna: Account) -> None:
    file, target = deployment.folder / "backup.jsonl", (deployment.folder / "restored.db").as_uri()
    deployment.ok("backend", "backup", str(file))
    file.write_text("\n".join(file.read_text().splitlines()[:-1]))
    assert "cut off" in deployment.refused("backend", "restore", str(file), "--url", target)


def test_a_backup_with_a_password_hash_that_nobody_can_verify_is_refused_or_taken_as_it_is(deployment: Deployment) -> None:
    """It would never let its owner in. Nobody is told that only at the logon."""
    deployment.add(replace(deployments.anna(), password_hash="{SSHA512}whatever that is"))
    file, target = deployment.folder / "backup.jsonl", deployment.folder / "restored.db"
    deployment.ok("backend", "backup", str(file))
    said = deployment.refused("backend", "restore", str(file), "--url", target.as_uri())
    assert "cannot verify the password hash of anna: it is of no kind that it knows. Nothing was restored." in said
    assert not target.exists()
    done = deployment.run("backend", "restore", str(file), "--as-it-is", "--url", target.as_uri())
    assert (done.returncode, done.stdout) == (0, "Restored and compared: 1 accounts, 1 events.\n")
    assert "They set a new password by mail" in done.stderr


def test_a_backup_of_version_0_1_with_such_a_hash_is_refused_too(deployment: Deployment, tmp_path: Path) -> None:
    lines = (Path(__file__).parents[1] / "backends" / "store_0_1.jsonl").read_text().splitlines()
    changed = [line.replace("$argon2id$v=19$m=19456,t=2,p=1", "{SSHA512}", 1) for line in lines[1:-1]]
    kinds: dict[str, list[int]] = {}
    for line in changed:
        kinds.setdefault(next(iter(json.loads(line))), []).append(int.from_bytes(hashlib.sha256(line.encode()).digest()))
    end = {kind: {"count": len(each), "digest": f"{sum(each) % 2**256:064x}"} for kind, each in kinds.items()}
    (tmp_path / "old.jsonl").write_text("\n".join([lines[0], *changed, json.dumps({"end": end})]) + "\n")
    target = (tmp_path / "restored.db").as_uri()
    said = deployment.refused("backend", "restore", str(tmp_path / "old.jsonl"), "--url", target)
    assert "cannot verify the password hash of zoe" in said


# whether they are whole


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE events SET kind = 'frozen'", "event 1 of account"),
        ("DELETE FROM events", "ends with event 0, where 1 should be its newest"),
        ("UPDATE accounts SET document = replace(document, 'anna@', 'eve1@')", "changed behind our back"),
        ("UPDATE accounts SET document = replace(document, 'Blue key', 'Blue Key')", "changed behind our back"),
    ],
    ids=["an event", "all events", "the address", "a key"],
)
def test_check_finds_what_was_changed_behind_our_back(deployment: Deployment, anna: Account, change: str, says: str) -> None:
    assert deployment.ok("backend", "check") == "All is well.\n"
    said = deployment.refused("backend", "check", "--url", changed(deployment, "changed.db", change))
    assert says in said
    assert "wrong." in said


def test_check_says_that_seals_were_not_checked_without_secrets_and_which_secret_is_missing(
    deployment: Deployment, anna: Account
) -> None:
    assert "Seals were not checked" in deployment.ok("backend", "check", KEYSTEAD_SECRET_KEYS="")
    other = "another secret of thirty-two characters or more"
    ours = deployment.environ["KEYSTEAD_SECRET_KEYS"]
    done = deployment.run("backend", "check", KEYSTEAD_SECRET_KEYS=other)
    assert (done.returncode, "behind our back, and nobody can see it" in done.stderr) == (3, True)
    assert done.stdout == f"Seals were made with a secret that is no longer set (its id is {signing.key_id(ours).hex()}).\n"
    assert deployment.ok("backend", "check", KEYSTEAD_SECRET_KEYS=f"{other},{ours}") == "All is well.\n"
    assert deployment.ok("backend", "check", KEYSTEAD_SECRET_KEYS=other, KEYSTEAD_RETIRED_KEYS=ours) == "All is well.\n"


def test_check_tells_tampering_also_where_a_secret_is_missing(deployment: Deployment, anna: Account) -> None:
    url = changed(deployment, "changed.db", "DELETE FROM events")
    done = deployment.run(
        "backend", "check", "--url", url, KEYSTEAD_SECRET_KEYS="another secret of thirty-two characters or more"
    )
    assert done.returncode == 1
    assert "Seals were made with a secret that is no longer set" in done.stdout
    assert "ends with event 0" in done.stdout


def test_check_against_heads_finds_an_account_that_was_put_back_in_time(deployment: Deployment, anna: Account) -> None:
    before, heads = copied(deployment, "before.db"), str(deployment.folder / "heads")
    deployment.change(identities.freeze)
    assert deployment.ok("backend", "heads", heads) == "Written: the newest event of 1 account.\n"
    assert deployment.ok("backend", "check", "--against", heads) == "All is well.\n"
    assert deployment.ok("backend", "check", "--url", before.as_uri()) == "All is well.\n", "each version is whole in itself"
    said = deployment.refused("backend", "check", "--url", before.as_uri(), "--against", heads)
    assert "was put back in time: its event 2 was exported before" in said
    assert "exists already" in deployment.refused("backend", "heads", heads)
    (deployment.folder / "heads").write_text("{}")
    assert "is not a file of heads" in deployment.refused("backend", "check", "--against", heads)


# migrating


def test_migrate_makes_a_backend_ready_and_then_has_nothing_to_do(deployment: Deployment) -> None:
    deployment.file.unlink()
    assert deployment.ok("backend", "migrate").startswith("Migrated: ")
    assert deployment.ok("backend", "migrate") == "Nothing to do: the schema is this version's.\n"


def test_migrate_seals_accounts_that_never_were_once_it_has_secrets(deployment: Deployment) -> None:
    unsealed = deployments.anna()
    deployment.ask(lambda ctx: ctx.backend.add(unsealed))
    assert "was never sealed (run: keystead backend migrate" in deployment.refused("backend", "check")
    done = deployment.run("backend", "migrate", KEYSTEAD_SECRET_KEYS="")
    assert (done.returncode, done.stderr) == (0, "Accounts were not sealed: KEYSTEAD_SECRET_KEYS is not set.\n")
    assert deployment.ok("backend", "migrate").endswith("Sealed 1 account.\n")
    assert deployment.ok("backend", "check") == "All is well.\n"
    assert [event.kind for event in deployment.events()] == ["sealed"]
    assert "Sealed" not in deployment.ok("backend", "migrate")


@pytest.mark.parametrize(
    "words",
    ["account list", "account add bert bert@example.com --stdin", "key list bert", "backend check", "backend backup x", "serve"],
)
def test_a_file_that_is_missing_is_an_error_and_not_an_empty_store(deployment: Deployment, words: str) -> None:
    deployment.file.unlink()
    said = deployment.refused(*words.split(), stdin="correct horse battery\n")
    assert f"There is no file {deployment.file}. If there was one, see that its disk is mounted" in said
    assert "keystead backend migrate" in said
    assert not deployment.file.exists()


def test_a_backend_of_version_0_1_is_migrated_and_sealed_with_the_secret_that_it_had(deployment: Deployment) -> None:
    written = (Path(__file__).parents[1] / "backends" / "store_0_1.sql").read_text()
    deployment.file.unlink()
    with closing(sqlite3.connect(deployment.file)) as db:
        db.executescript(written)
    deployment.environ["KEYSTEAD_SECRET_KEYS"] = "a secret of the store that version 0.1 left behind"
    assert "keystead backend migrate" in deployment.refused("account", "list")
    done = deployment.run("backend", "migrate")
    assert (done.returncode, done.stdout) == (0, "Migrated: Make each account one record.\nSealed 4 accounts.\n")
    assert done.stderr == "ben and Änne share an e-mail address: it finds none of them at the logon.\n"
    assert deployment.ok("backend", "check") == "All is well.\n"


def test_migrate_names_the_accounts_that_share_an_address(deployment: Deployment, anna: Account) -> None:
    for name, email in (("bert", "ANNA@example.com"), ("carl", "carl@example.com")):
        deployment.add(replace(deployments.anna(), id=name, username=name, email=email, keys=()))
    done = deployment.run("backend", "migrate")
    assert done.returncode == 0
    assert done.stderr == "anna and bert share an e-mail address: it finds none of them at the logon.\n"
