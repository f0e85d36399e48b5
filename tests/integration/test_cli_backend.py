import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from webapp import clock
from webapp.testing.mailbox import text_of
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor


def run(site: Site, *arguments: str, ok: bool = True, **environ: str) -> str:
    """What the command prints; it must end as expected."""
    given = {
        "KEYSTEAD_PUBLIC_URL": site.settings.public_url,
        "KEYSTEAD_SECRET_KEYS": ",".join(site.settings.secret_keys),
        "KEYSTEAD_BACKEND": site.settings.backend,
        "KEYSTEAD_MAIL": site.settings.mail,
        "KEYSTEAD_MAIL_FROM": site.settings.mail_from,
    }
    command = [sys.executable, "-m", "webapp", *arguments]
    done = subprocess.run(command, env=os.environ | given | environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def lived_in(keystead: Site, keystead_visitor: Visitor, stub_key: StubKey) -> Site:
    """A site on which something has happened."""
    keystead_visitor.log_on("zoe", keystead.password)
    keystead_visitor.bind(stub_key, name="Blue")
    return keystead


def test_everything_moves_to_another_address_and_the_key_still_opens_the_account(
    lived_in: Site, stub_key: StubKey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = (tmp_path_factory.mktemp("elsewhere") / "moved.db").as_uri()
    said = run(lived_in, "backend", "copy", lived_in.settings.backend, target)
    assert "1 account" in said
    assert "1 key" in said
    assert run(lived_in, "backend", "check", "--url", target) == "All is well.\n"
    again = run(lived_in, "backend", "copy", lived_in.settings.backend, target, ok=False)
    assert "holds records already" in again


def test_a_backup_is_json_lines_and_comes_back_equal(lived_in: Site, tmp_path: Path) -> None:
    file = tmp_path / "backup.jsonl"
    run(lived_in, "backend", "backup", str(file))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert file.stat().st_mode & 0o077 == 0
    assert any("Blue" in json.dumps(line) for line in lines)
    assert "exists already" in run(lived_in, "backend", "backup", str(file), ok=False)
    restored = (tmp_path / "restored.db").as_uri()
    run(lived_in, "backend", "restore", str(file), "--url", restored)
    second = tmp_path / "again.jsonl"
    run(lived_in, "backend", "backup", str(second), "--url", restored)
    assert second.read_text().splitlines()[1:-1] == file.read_text().splitlines()[1:-1]


def test_check_finds_an_event_that_was_changed_removed_or_reordered(lived_in: Site, tmp_path: Path) -> None:
    assert "All is well." in run(lived_in, "backend", "check")
    file = tmp_path / "keystead.db"
    for number, change in enumerate(
        (
            "UPDATE events SET detail = 'Red' WHERE kind = 'key bound'",
            "DELETE FROM events WHERE seq = 1",
            "UPDATE events SET seq = CASE seq WHEN 1 THEN -2 ELSE -1 END; UPDATE events SET seq = -seq",
        )
    ):
        copy = tmp_path / f"changed-{number}.db"
        with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        with sqlite3.connect(copy) as changed:
            changed.executescript(change)
        source.close()
        target.close()
        changed.close()
        said = run(lived_in, "backend", "check", "--url", copy.as_uri(), ok=False)
        assert "event" in said, change
        assert "wrong" in said


def test_migrate_makes_a_backend_ready_and_then_has_nothing_to_do(keystead: Site, tmp_path: Path) -> None:
    fresh = (tmp_path / "fresh.db").as_uri()
    assert "Migrated" in run(keystead, "backend", "migrate", "--url", fresh)
    assert "Nothing to do" in run(keystead, "backend", "migrate", "--url", fresh)


def test_events_are_exported_as_json_lines(lived_in: Site) -> None:
    lines = [json.loads(line) for line in run(lived_in, "events", "export", "ZOE").splitlines()]
    assert [line["kind"] for line in lines] == ["logged on", "key bound"]
    assert [json.loads(line)["seq"] for line in run(lived_in, "events", "export").splitlines()] == [1, 2]
    assert "There is no account" in run(lived_in, "events", "export", "nobody", ok=False)


def test_a_frozen_account_is_opened_and_a_lost_mailbox_replaced_by_the_deployer(lived_in: Site) -> None:
    visitor = lived_in.visitor()
    token = text_of(lived_in.mailbox.newest()).partition("/not-me?token=")[2].split()[0]
    assert visitor.post("/not-me", {"token": token}).status_code == 200
    assert visitor.submit_password("zoe", lived_in.password).status_code == 403
    assert "open again" in run(lived_in, "account", "unfreeze", "zoe")
    assert "is not frozen" in run(lived_in, "account", "unfreeze", "zoe")
    visitor.log_on("zoe", lived_in.password)
    run(lived_in, "account", "email", "zoe", "zoe@new.example")
    assert "not an e-mail address" in run(lived_in, "account", "email", "zoe", "nowhere", ok=False)
    account = lived_in.call(lived_in.backend.account_named, "zoe")
    assert account is not None
    assert account.email == "zoe@new.example"


def test_a_lost_key_without_codes_is_unbound_by_the_deployer(lived_in: Site) -> None:
    assert "Blue" in run(lived_in, "key", "list", "zoe")
    lived_in.call(lived_in.backend.put_recovery_codes, lived_in.account.id, [b"on paper with the key"], clock.now())
    run(lived_in, "key", "unbind", "zoe", "Blue", "--yes")
    assert lived_in.call(lived_in.backend.recovery_codes_of, lived_in.account.id) == [], "codes stand in for a key"
    assert "All is well." in run(lived_in, "backend", "check")
    visitor = lived_in.visitor()
    visitor.log_on("zoe", lived_in.password)
    assert visitor.get("/account").status_code == 200


def test_an_address_that_cannot_be_is_said_in_plain_words(keystead: Site, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database " * 100)
    assert "Installed:" in run(keystead, "backend", "check", "--url", "redis://localhost/", ok=False)
    assert run(keystead, "backend", "check", "--url", text.as_uri(), ok=False)
    with running(tmp_path / "other") as other:
        assert "All is well" in run(other, "backend", "check")
