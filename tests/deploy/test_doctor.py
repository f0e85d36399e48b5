"""`keystead doctor` finds nothing where nothing is wrong, and names each mistake in words that a newcomer can act on.

Each mistake is a real one, made to a deployment that is well but for it, and found by the real command.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from backends import migrate, open_backend, sqlite_file
from backends.contract.samples import account, key
from backends.records import Account, Notification
from tests import command, mongo_server
from tests.browser import live_site
from tests.browser.live_site import Site
from tests.deploy import mirror
from webapp import clock, doctor, signing
from webapp.accounts import commits, identities, rotation
from webapp.accounts import context as accounts
from webapp.accounts.events import Happened
from webapp.accounts.owed import GIVEN_UP
from webapp.doctor import filesystem, outside, records
from webapp.doctor.finding import Context, Options
from webapp.metrics import Metrics
from webapp.settings import Settings
from webapp.testing.clock import Clock
from webapp.testing.mailbox import SmtpMailbox, free_port, text_of

DOCTOR = [sys.executable, "-m", "webapp", "doctor"]
SECRET = "pU3xk9vQmZt6LbRw2yHs8cNf4dGj7aEo"
HASH = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"
FOREIGN = "{SSHA512}whatever that is"
FAKETIME = shutil.which("faketime")


@dataclass
class Deployment:
    """What a deployer has: variables, and what they name. It is well."""

    folder: Path
    mailbox: SmtpMailbox
    environ: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        # Coverage of the child would need room on the disk that is full.
        plain = {name: text for name, text in os.environ.items() if not name.startswith(("KEYSTEAD_", "COV"))}
        self.environ = plain | {
            "KEYSTEAD_PUBLIC_URL": "https://account.example.invalid",
            "KEYSTEAD_SECRET_KEYS": SECRET,
            "KEYSTEAD_BACKEND": self.file.as_uri(),
            "KEYSTEAD_MAIL": self.mailbox.url,
            "KEYSTEAD_MAIL_FROM": "keystead@example.com",
        }
        asyncio.run(migrate(self.environ["KEYSTEAD_BACKEND"]))
        self.add(account("alice", keys=(key(rp_id="account.example.invalid"),)))

    @property
    def file(self) -> Path:
        return self.folder / "keystead.db"

    def examined(self, *words: str, before: tuple[str, ...] = (), **changes: str) -> subprocess.CompletedProcess[str]:
        environ = self.environ | changes
        if not before:
            return command.run("doctor", *words, environ=environ)
        return subprocess.run([*before, *DOCTOR, *words], env=environ, capture_output=True, text=True, timeout=60, check=False)

    def findings(self, *words: str, **more: Any) -> list[dict[str, str]]:
        done = self.examined(*words, "--json", **more)
        assert done.stderr == ""
        told = json.loads(done.stdout)
        assert told["well"] is (done.returncode == 0)
        found: list[dict[str, str]] = told["findings"]
        return found

    def fault(self, *words: str, **more: Any) -> dict[str, str]:
        """The one thing that is wrong."""
        faults = [finding for finding in self.findings(*words, **more) if finding["state"] == "wrong"]
        assert len(faults) == 1, faults
        assert faults[0]["todo"]
        assert SECRET not in str(faults)
        return faults[0]

    def add(self, account: Account) -> None:
        account = account if account.password_hash == FOREIGN else replace(account, password_hash=HASH)
        asyncio.run(_add(self.environ["KEYSTEAD_BACKEND"], account))


async def _add(url: str, account: Account) -> None:
    backend = await open_backend(url)
    await backend.add(account)
    await backend.close()


@pytest.fixture(scope="module")
def mailbox() -> Iterator[SmtpMailbox]:
    with SmtpMailbox() as mailbox:
        yield mailbox


@pytest.fixture
def deployment(tmp_path: Path, mailbox: SmtpMailbox) -> Deployment:
    return Deployment(tmp_path, mailbox)


# where nothing is wrong


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, mailbox: SmtpMailbox) -> None:
    with live_site.serving(tmp_path, KEYSTEAD_MAIL=mailbox.url) as site:
        site.person("anna")
        done = site.keystead("doctor", "--mail", "anna@example.com")
    assert (done.returncode, done.stderr) == (0, "")
    looked_at, _, not_looked_at = done.stdout.partition("\nNot looked at:\n")
    assert looked_at.endswith("\nNothing is wrong.\n")
    assert [line.split()[0] for line in not_looked_at.splitlines() if not line.startswith(" ")] == ["never", "never"]
    assert "Whether a backup can be restored" in not_looked_at
    checks = [line.split()[:2] for line in looked_at.splitlines() if line and not line.startswith(" ")]
    expected = [
        "settings", "secrets", "address", "help", "sessions", "processes", "joining", "backend", "files", "disk", "clock",
        "keys", "rotation", "accounts", "events", "letters", "mail", "server",
    ]  # fmt: skip
    assert checks == [*(["ok", name] for name in expected), ["Nothing", "is"]]
    assert mailbox.newest("anna@example.com")["subject"] == "Mail from Keystead arrives"
    assert "Nothing is to be done" in text_of(mailbox.newest("anna@example.com"))


def test_what_cannot_be_reached_from_here_is_no_fault_and_is_said(deployment: Deployment) -> None:
    done = deployment.examined()
    assert done.returncode == 0
    looked_at, _, not_looked_at = done.stdout.partition("\nNot looked at:\n")
    assert "unchecked  server     https://account.example.invalid cannot be reached from here" in not_looked_at
    assert looked_at.endswith("Nothing is wrong. 1 could not be checked from here.\n")
    assert "unchecked" not in looked_at


def test_doctor_leaves_the_deployment_as_it_was(deployment: Deployment) -> None:
    before = sorted(path.name for path in deployment.folder.iterdir())
    deployment.examined()
    assert sorted(path.name for path in deployment.folder.iterdir()) == before


def test_a_file_that_is_missing_is_named_and_not_made(deployment: Deployment) -> None:
    deployment.file.unlink()
    fault = deployment.fault()
    assert (fault["check"], fault["text"]) == ("backend", f"There is no file {deployment.file}.")
    assert "mount its disk, or mend KEYSTEAD_BACKEND" in fault["todo"]
    assert not deployment.file.exists(), "made by doctor, it might belong to the wrong user"


def test_mongodb_is_examined_too(deployment: Deployment) -> None:
    with mongo_server.running() as address:
        url = mongo_server.database(address)
        subprocess.run([*DOCTOR[:3], "backend", "migrate", "--url", url], check=True, capture_output=True)
        asyncio.run(_add(url, account("bert", password_hash=HASH)))
        found = {finding["check"]: finding for finding in deployment.findings(KEYSTEAD_BACKEND=url)}
    assert {found[check]["state"] for check in ("backend", "clock", "keys", "accounts", "letters")} == {"ok"}
    assert "the backend's agree" in found["clock"]["text"]
    assert found["disk"]["state"] == found["files"]["state"] == "unchecked"


# mistakes


def test_a_public_url_without_https(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_PUBLIC_URL="http://account.example.com")
    assert fault["check"] == "settings"
    assert "https://" in fault["text"]


def test_a_secret_that_is_too_short(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_SECRET_KEYS="9vQmZt6LbRw2")
    assert "KEYSTEAD_SECRET_KEYS" in fault["text"]
    assert "12 characters; at least 32" in fault["text"]


GUESSABLE = [
    "my-very-long-secret-for-production-2026",
    "a-phrase-that-somebody-thought-of-on-monday",
    "31415926535897932384626433832795028841",
    "Keystead9vQmZt6LbRw2yHs8cNf4dGj7aEo",
    "x9Y2x9Y2x9Y2a7bcdxe9Y2x9Y2x9Y2x9Y2",
]


def test_secrets_that_somebody_thought_of(deployment: Deployment) -> None:
    found = deployment.findings(KEYSTEAD_SECRET_KEYS=",".join([*GUESSABLE, SECRET]))
    faults = [finding for finding in found if finding["state"] == "wrong"]
    assert [fault["text"].partition(" has")[0].partition(" holds")[0].partition(" repeats")[0] for fault in faults] == [
        f"KEYSTEAD_SECRET_KEYS: secret {number} of 6" for number in range(1, 6)
    ]
    assert all("keystead secret" in fault["todo"] for fault in faults)
    assert not [secret for secret in (*GUESSABLE, SECRET) if secret in str(faults)]


def test_metrics_that_share_a_secret_with_sessions(deployment: Deployment) -> None:
    assert "KEYSTEAD_METRICS is one of KEYSTEAD_SECRET_KEYS" in deployment.fault(KEYSTEAD_METRICS=SECRET)["text"]


def test_the_wrong_port_of_the_mail_server(deployment: Deployment) -> None:
    port = free_port()
    fault = deployment.fault(KEYSTEAD_MAIL=f"smtp://127.0.0.1:{port}")
    assert (fault["check"], fault["text"]) == ("mail", f"No mail can leave: 127.0.0.1:{port} cannot be reached.")
    assert "587 for smtp://, 465 for smtps://" in fault["todo"]


def test_a_mail_to_an_address_that_is_none(deployment: Deployment) -> None:
    fault = deployment.fault("--mail", "nonsense\nBcc: x@example.com")
    assert (fault["check"], "the address is not one that mail can be sent to" in fault["text"]) == ("mail", True)
    assert fault["todo"] == "Give --mail an address such as you@example.com."


def test_a_port_without_tls_where_tls_is_expected_from_the_start(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_MAIL=deployment.mailbox.url.replace("smtp:", "smtps:"))
    assert fault["check"] == "mail"


def test_a_mail_password_where_there_is_no_tls(deployment: Deployment) -> None:
    """127.1 is this machine, and not in a spelling that lets a password go unprotected."""
    address = deployment.mailbox.url.replace("//127.0.0.1", "//keystead:pa55word@127.1")
    fault = deployment.fault(KEYSTEAD_MAIL=address)
    assert "offers no TLS" in fault["text"]
    assert "over TLS only" in fault["todo"]
    assert "pa55word" not in str(fault)


def test_an_outbox_where_people_wait_for_mail(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_MAIL=f"outbox://{deployment.folder}/outbox")
    assert "nobody gets one" in fault["text"]


def test_a_file_that_cannot_be_written(deployment: Deployment) -> None:
    deployment.file.chmod(0o400)
    before = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override") if os.getuid() == 0 else ()
    fault = deployment.fault(before=before)
    assert (fault["check"], "this user may not write it" in fault["text"]) == ("backend", True)
    assert "the user that runs Keystead owns" in fault["todo"]


def test_a_folder_that_is_not_there(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_BACKEND=f"file://{deployment.folder}/missing/keystead.db")
    assert f"There is no folder {deployment.folder}/missing" in fault["text"]


def test_a_domain_that_keys_are_not_bound_to(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_PUBLIC_URL="https://new.example.invalid")
    assert (fault["check"], "locked out" in fault["text"]) == ("keys", True)
    assert "docs/moving-domain.md" in fault["todo"]
    moved = deployment.findings(KEYSTEAD_PUBLIC_URL="https://new.example.invalid", KEYSTEAD_MOVED_FROM="account.example.invalid")
    assert [finding for finding in moved if finding["state"] == "wrong"] == []


def test_a_database_that_everybody_can_read(deployment: Deployment) -> None:
    deployment.file.chmod(0o644)
    fault = deployment.fault()
    assert (fault["check"], fault["todo"]) == ("files", f"chmod 600 {deployment.file}")


def test_a_folder_in_which_everybody_can_put_another_database(deployment: Deployment) -> None:
    deployment.folder.chmod(0o777)
    assert deployment.fault()["todo"] == f"chmod o-w {deployment.folder}"


def test_an_outbox_that_everybody_can_read(deployment: Deployment) -> None:
    outbox = deployment.folder / "outbox"
    outbox.mkdir(mode=0o755)
    outbox.chmod(0o755)
    changes = {"KEYSTEAD_PUBLIC_URL": f"http://account.localhost:{free_port()}", "KEYSTEAD_MOVED_FROM": "account.example.invalid"}
    assert deployment.fault(KEYSTEAD_MAIL=f"outbox://{outbox}", **changes)["todo"] == f"chmod 700 {outbox}"


@pytest.mark.skipif(FAKETIME is None, reason="FAKETIME IS NOT INSTALLED: no clock was wrong")
@pytest.mark.parametrize("shift", ["-2h", "+15m"])
def test_a_clock_that_is_wrong(deployment: Deployment, shift: str) -> None:
    faults = [
        finding
        for finding in deployment.findings(before=("faketime", "-f", shift), NO_FAKE_STAT="1")
        if finding["state"] == "wrong"
    ]
    assert {finding["check"] for finding in faults} == {"clock"}
    assert "This machine's clock says" in faults[0]["text"]
    assert "NTP" in faults[0]["todo"]


@pytest.mark.skipif(FAKETIME is None, reason="FAKETIME IS NOT INSTALLED: no clock was wrong")
def test_a_clock_that_is_not_the_servers(tmp_path: Path) -> None:
    with live_site.serving(tmp_path) as site:
        done = subprocess.run(
            ["faketime", "-f", "-90s", *DOCTOR], env=site.environ, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert "seconds behind the server's" in " ".join(done.stdout.split())


def test_a_disk_that_is_full(deployment: Deployment) -> None:
    """No file may grow beyond 32 kB, which the log of a server that runs has reached: to SQLite that is a disk without room."""
    with contextlib.closing(sqlite_file.connect(deployment.file)) as server:
        for number in range(10):
            server.execute("INSERT INTO attempts VALUES (?, 0, 0)", (f"bucket {number}",))
        fault = deployment.fault(before=("prlimit", "--fsize=32768"))
    assert fault["check"] == "backend"
    assert "neither full nor read-only" in fault["todo"]


def test_a_disk_that_is_almost_full(deployment: Deployment) -> None:
    fault = deployment.fault("--free", "1000000000")
    assert (fault["check"], "MB are free" in fault["text"]) == ("disk", True)


def test_an_unknown_word_for_the_preview(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_PREVIEW="somebody")
    assert "KEYSTEAD_PREVIEW must be everyone, listed, or a percentage" in fault["text"]


def test_a_variable_that_is_misspelt(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_TRUSTED_PROXY="10.0.0.1")
    assert "KEYSTEAD_TRUSTED_PROXY is set, and nothing reads it" in fault["text"]
    assert "KEYSTEAD_TRUSTED_PROXIES" in fault["todo"]


def test_what_hangs_on_a_setting_that_is_wrong_waits_and_the_rest_is_looked_at(deployment: Deployment) -> None:
    found = {finding["check"]: finding for finding in deployment.findings(KEYSTEAD_BACKEND="")}
    assert found["settings"]["state"] == "wrong"
    assert found["backend"]["state"] == "unchecked"
    assert "KEYSTEAD_BACKEND" in found["backend"]["text"]
    assert found["mail"]["state"] == "ok"


# mistakes that look like something else


def test_a_file_that_was_cut_off(deployment: Deployment) -> None:
    os.truncate(deployment.file, 5000)
    fault = deployment.fault()
    assert fault["check"] == "backend"
    assert "was cut off: 5,000 of" in fault["text"]
    assert "Restore a backup into a new file" in fault["text"]


def test_an_empty_file(deployment: Deployment) -> None:
    deployment.file.write_bytes(b"")
    assert "is empty. If it held records, restore a backup" in deployment.fault()["text"]


def test_a_folder_in_the_place_of_the_file(deployment: Deployment) -> None:
    assert "is a directory: name a file in it" in deployment.fault(KEYSTEAD_BACKEND=deployment.folder.as_uri())["text"]


def test_what_no_machine_can_have(deployment: Deployment) -> None:
    too_long = f"/{'a' * 300}"
    for changes, checks in (
        ({"KEYSTEAD_BACKEND": f"file://{too_long}"}, {"backend", "files", "disk", "clock"}),
        ({"KEYSTEAD_MAIL": f"outbox://{too_long}"}, {"files", "mail"}),
        ({"KEYSTEAD_BACKEND": "file:///a%00b"}, {"settings"}),
        ({"KEYSTEAD_MAIL": "outbox:///a%00b"}, {"settings"}),
    ):
        found = [each for each in deployment.findings(**changes) if each["state"] == "wrong"]
        assert {each["check"] for each in found} <= checks
        assert found
        assert all(each["todo"] for each in found)


def test_a_file_in_memory(deployment: Deployment) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        shutil.copy(deployment.file, Path(folder) / "keystead.db")
        fault = deployment.fault(KEYSTEAD_BACKEND=f"file://{folder}/keystead.db")
    assert (fault["check"], "lies in memory (tmpfs): it is gone" in fault["text"]) == ("disk", True)
    assert "a disk that stays" in fault["todo"]


@pytest.mark.parametrize(("kind", "state", "said"), [
    ("nfs4", "wrong", "lies on another machine (nfs4), where its locks do not hold"),
    ("fuse.sshfs", "wrong", "lies on another machine"),
    ("overlay", "unchecked", "may lie in a container's own layer"),
    ("ext4", "ok", "MB are free"),
])  # fmt: skip
@pytest.mark.anyio
async def test_what_kind_of_disk_it_lies_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, state: str, said: str
) -> None:
    (tmp_path / "a disk").mkdir()
    place = str(tmp_path / "a disk").replace(" ", "\\040")
    lines = [
        "22 1 0:1 / / rw - tmpfs none rw",
        f"23 22 0:2 / {place} rw,relatime shared:1 - {kind} host:/x rw",
        "24 22 0:3 / /x rw",
    ]
    (tmp_path / "mounts").write_text("\n".join(lines))
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "mounts")
    [found] = await records.disk(Context(at_file(tmp_path / "a disk" / "k.db"), Options(free=0)))
    assert (found.state, said in found.text) == (state, True)


@pytest.mark.anyio
async def test_what_root_may_do_says_nothing_of_the_user_that_owns_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "k.db").touch(0o600)
    if os.getuid() == 0:
        os.chown(tmp_path / "k.db", 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    [found] = await records.files(Context(at_file(tmp_path / "k.db"), Options()))
    assert (found.state, "doctor runs as root. Run it as that user" in found.text) == ("unchecked", True)


@pytest.mark.anyio
async def test_a_folder_that_this_user_may_not_look_into(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.stat

    def denied(path: Any, **how: Any) -> os.stat_result:
        if str(path).startswith(str(deployment.file)):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **how)

    monkeypatch.setattr(os, "stat", denied)
    found = {finding.check: finding for finding in await doctor.examine(deployment.environ, Options())}
    assert (found["backend"].state, "Permission denied" in found["backend"].text) == ("wrong", True)
    assert "that the user that runs Keystead owns" in found["backend"].todo
    assert found["files"].state == found["accounts"].state == "unchecked"


def at_file(file: Path) -> Settings:
    return Settings(public_url="https://a.b", secret_keys=(SECRET,), backend=file.as_uri(), mail="", mail_from="")


@pytest.mark.parametrize("sender", ["root@localhost", "Keystead <keystead@server>", "keystead@mail.local"])
def test_mail_from_nowhere(deployment: Deployment, sender: str) -> None:
    fault = deployment.fault(KEYSTEAD_MAIL_FROM=sender)
    assert (fault["check"], "which is no address for anybody else" in fault["text"]) == ("mail", True)
    assert "your own domain" in fault["todo"]


@pytest.mark.parametrize(("address", "todo"), [
    ("smtp://mail.example.invalid:465", "Write smtps://"),
    ("smtps://mail.example.invalid:587", "Write smtp://"),
])  # fmt: skip
def test_a_port_of_mail_that_speaks_the_other_way(deployment: Deployment, address: str, todo: str) -> None:
    fault = deployment.fault(KEYSTEAD_MAIL=address)
    assert (fault["check"], todo in fault["todo"]) == ("mail", True)


def test_a_session_that_may_idle_for_longer_than_it_lives(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_SESSION_LIFETIME="8h", KEYSTEAD_SESSION_IDLE="12h")
    assert (fault["check"], "nobody is ever logged off for doing nothing" in fault["text"]) == ("sessions", True)


def test_a_number_of_processes_that_is_none(deployment: Deployment) -> None:
    fault = deployment.fault(WEB_CONCURRENCY="auto")
    assert (fault["check"], "one for each core is usual" in fault["text"]) == ("settings", True)


def test_more_processes_than_the_machine_has_use_for(deployment: Deployment) -> None:
    fault = deployment.fault(WEB_CONCURRENCY="2000")
    assert (fault["check"], "2000 processes on" in fault["text"]) == ("processes", True)
    assert "one for each core" in fault["todo"]


def test_a_proxy_that_is_the_whole_world(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_TRUSTED_PROXIES="0.0.0.0/0")
    assert "whoever is in there can pretend to come from anywhere" in fault["text"]


def test_an_address_to_listen_on_with_a_port_in_it(deployment: Deployment) -> None:
    assert "the port stands in PORT" in deployment.fault(KEYSTEAD_LISTEN="0.0.0.0:8000")["text"]


def test_the_address_of_the_readme(deployment: Deployment) -> None:
    moved = {"KEYSTEAD_PUBLIC_URL": "https://account.example.com", "KEYSTEAD_MOVED_FROM": "account.example.invalid"}
    fault = deployment.fault(**moved)
    assert (fault["check"], "is an address from an example" in fault["text"]) == ("address", True)


def test_a_certificate_that_ends_soon_and_was_not_renewed() -> None:
    def ends_in(days: float, of: float = 90) -> list[str]:
        now = time.time()
        moments = {"notBefore": now - (of - days) * 86400, "notAfter": now + days * 86400}
        told = {name: time.strftime("%b %d %H:%M:%S %Y GMT", time.gmtime(at)) for name, at in moments.items()}
        return [finding.text for finding in outside.ends_soon("https://a.b", told)]

    assert (ends_in(20), ends_in(3, of=6), outside.ends_soon("https://a.b", None)) == ([], [], [])
    assert "The certificate of https://a.b ends on 20" in ends_in(10)[0]
    assert ends_in(0.5, of=6)


# people


def test_a_password_hash_that_nobody_can_verify(deployment: Deployment) -> None:
    deployment.add(account("bert", password_hash=FOREIGN))
    fault = deployment.fault()
    assert (fault["check"], "the password hash of bert" in fault["text"]) == ("accounts", True)
    assert "keystead account password" in fault["todo"]


def test_a_mail_domain_of_everybody_whose_people_may_join(deployment: Deployment) -> None:
    assert "gmail.com, where anybody can have an address" in deployment.fault(KEYSTEAD_JOIN="example.com, Gmail.com")["text"]
    assert [finding for finding in deployment.findings(KEYSTEAD_JOIN="example.com") if finding["state"] == "wrong"] == []


def test_a_key_that_is_required_of_a_group_without_anybody(deployment: Deployment) -> None:
    assert "names staf, and no account is in that group" in deployment.fault(KEYSTEAD_KEY_REQUIRED="staf")["text"]
    for given in ("everyone", "nobody"):
        assert [finding for finding in deployment.findings(KEYSTEAD_KEY_REQUIRED=given) if finding["state"] == "wrong"] == []


def test_an_app_that_is_open_only_to_groups_without_anybody(deployment: Deployment) -> None:
    def add_app(name: str, *groups: str) -> None:
        options = [word for group in groups for word in ("--group", group)]
        command.run(
            "app", "add", name, f"https://{name}.example.invalid", *options, environ=deployment.environ
        ).check_returncode()

    add_app("wiki")
    add_app("payroll", "staf", "board")
    fault = deployment.fault()
    assert (fault["check"], fault["text"]) == (
        "apps", "The app payroll is open only to board and staf, and no account is in such a group: nobody gets in."
    )  # fmt: skip
    assert "`keystead account groups USERNAME GROUP…`, with all groups that the account is in" in fault["todo"]
    deployment.add(account("bert", groups=("staf",)))
    assert [finding for finding in deployment.findings() if finding["state"] == "wrong"] == []


def test_a_preview_of_listed_accounts_without_any(deployment: Deployment) -> None:
    assert "nobody is asked for a key" in deployment.fault(KEYSTEAD_PREVIEW="listed")["text"]
    deployment.add(account("bert", listed=True))
    assert [finding for finding in deployment.findings(KEYSTEAD_PREVIEW="listed") if finding["state"] == "wrong"] == []


def test_a_secret_that_was_taken_away_while_accounts_are_sealed_with_it(deployment: Deployment) -> None:
    key = "Rk7tQ2wXz9LmB4vNc6YpHs8JdF3gUe5a"
    deployment.add(account("bert", seal=signing.key_id(key) + bytes(32)))
    fault = deployment.fault()
    assert fault["check"] == "rotation"
    assert f"1 account was sealed with a secret that is no longer set (its id is {signing.key_id(key).hex()})" in fault["text"]
    assert "KEYSTEAD_RETIRED_KEYS" in fault["todo"]
    assert [each for each in deployment.findings(KEYSTEAD_RETIRED_KEYS=key) if each["state"] == "wrong"] == []


def test_two_accounts_that_share_an_address_are_named(deployment: Deployment) -> None:
    for name, email in (("bert", "alice@EXAMPLE.com"), ("carl", "carl@example.com")):
        deployment.add(account(name, email=email))
    fault = deployment.fault()
    assert (fault["check"], fault["text"]) == (
        "accounts",
        "alice and bert share an e-mail address: it finds none of them at the logon.",
    )
    assert "keystead account email" in fault["todo"]


def test_a_store_that_is_empty_may_be_the_wrong_one(deployment: Deployment) -> None:
    deployment.file.unlink()
    command.run("backend", "migrate", environ=deployment.environ).check_returncode()
    fault = deployment.fault()
    assert (fault["check"], fault["text"]) == ("accounts", "There is no account.")
    assert "see that KEYSTEAD_BACKEND names them, and that its disk is mounted" in fault["todo"]


def owed(since: timedelta, attempts: int = 0, due_in: timedelta = timedelta()) -> Notification:
    now = clock.now()
    return Notification(
        id="1", kind="key bound", to="alice@example.com", at=now - since, due_at=now - since + due_in, attempts=attempts
    )


def test_letters_that_are_owed_for_more_than_an_hour(deployment: Deployment) -> None:
    """Whether nobody took them to the mail server, or the mail server took none of them."""
    never_tried, put_off = owed(timedelta(hours=2)), owed(timedelta(minutes=62), 6, timedelta(minutes=78))
    deployment.add(account("bert", notifications=(never_tried,)))
    deployment.add(account("carl", notifications=(put_off,)))
    fault = deployment.fault()
    assert (fault["check"], fault["text"]) == (
        "letters",
        f"2 accounts are owed letters, since {never_tried.at:%Y-%m-%d %H:%M} UTC.",
    )
    assert "Let mail leave, and the server run" in fault["todo"]


def test_letters_that_wait_for_less_or_for_their_time_are_no_fault(deployment: Deployment) -> None:
    fresh, counting = owed(timedelta(minutes=58), 6, timedelta(minutes=78)), owed(timedelta(hours=3), 0, timedelta(hours=3.5))
    deployment.add(account("bert", notifications=(fresh, counting)))
    assert [finding for finding in deployment.findings() if finding["state"] == "wrong"] == []


def test_a_mislaid_key_that_is_unbound_within_the_hour_is_no_letter(deployment: Deployment) -> None:
    now = clock.now()
    mislaid = key(b"mislaid", suspended_at=now, mislaid_until=now + timedelta(minutes=30), rp_id="localhost")
    deployment.add(account("bert", keys=(mislaid,)))
    assert [finding["state"] for finding in deployment.findings() if finding["check"] == "letters"] == ["ok"]


def test_letters_that_were_given_up_within_a_week(deployment: Deployment) -> None:
    for name, days in (("bert", 6), ("carl", 8)):
        deployment.add(account(name, notified_at={GIVEN_UP: clock.now() - timedelta(days=days)}))
    fault = deployment.fault()
    assert fault["check"] == "letters"
    assert "No mail server took letters to bert for three days" in fault["text"]
    assert "keystead events export" in fault["todo"]


# the server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with live_site.serving(tmp_path_factory.mktemp("site")) as site:
        site.person("anna")
        yield site


def server_fault(site: Site, *words: str, **changes: str) -> dict[str, str]:
    """The one thing that is wrong with the running server, as somebody with these variables sees it."""
    done = subprocess.run([*DOCTOR, *words, "--json"], env=site.environ | changes, capture_output=True, text=True, check=False)
    faults: list[dict[str, str]] = [found for found in json.loads(done.stdout)["findings"] if found["state"] == "wrong"]
    assert (len(faults), done.returncode) == (1, 1), faults
    return faults[0]


def test_a_server_that_was_started_with_other_secrets(site: Site) -> None:
    fault = server_fault(site, KEYSTEAD_SECRET_KEYS=SECRET, KEYSTEAD_RETIRED_KEYS=site.environ["KEYSTEAD_SECRET_KEYS"])
    assert "A Keystead with other secrets answers" in fault["text"]
    assert "start it again" in fault["todo"]


def test_a_server_that_was_started_with_another_address(site: Site) -> None:
    fault = server_fault(site, "--url", site.url, KEYSTEAD_PUBLIC_URL=f"{site.url}/account-center")
    assert "The server was started with KEYSTEAD_PUBLIC_URL=" in fault["text"]


def test_a_server_that_does_not_run(site: Site) -> None:
    fault = server_fault(site, "--url", f"http://127.0.0.1:{free_port()}")
    assert "nobody answers" in fault["text"]


def test_somebody_else_at_the_address(site: Site) -> None:
    with ExitStack() as stack:
        other = subprocess.Popen(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", port := str(free_port())],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=site.folder,
        )  # fmt: skip
        stack.callback(other.wait)
        stack.callback(other.kill)
        _wait_for(int(port))
        fault = server_fault(site, "--url", f"http://127.0.0.1:{port}")
    assert "Something else than Keystead answers" in fault["text"]
    assert "/healthz" in fault["todo"]


TOLD = {
    "version": "0.1.9", "public_url": "https://account.example.com", "at": 1.5, "peer": "127.0.0.1", "trusted": False,
    "forwarded": ["192.0.2.99"], "address": "127.0.0.1", "origin": "", "cookie": "",
}  # fmt: skip
ODD: list[tuple[object, str]] = [
    *(({each: TOLD[each] for each in TOLD if each != name}, "Another version") for name in TOLD if name != "peer"),
    *((TOLD | {name: None}, "Another version") for name in TOLD if name not in ("peer", "version")),
    (TOLD | {"at": "now", "forwarded": "192.0.2.99"}, "Another version"),
    (TOLD | {"peer": None}, "other secrets"), (TOLD | {"version": 2}, "other secrets"), ({}, "other secrets"),
    ([TOLD], "other secrets"), (None, "other secrets"), ("peer", "other secrets"),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(ODD)))
def test_an_answer_that_no_server_of_this_version_gives(deployment: Deployment, place: int) -> None:
    odd, words = ODD[place]
    ctx = Context(Settings.from_environ(deployment.environ), Options(url=f"http://127.0.0.1:{(port := free_port())}"))
    with mirror.answering(port, lambda _: (200, {"x-frame-options": "DENY"}), json.dumps(odd).encode()):
        (fault,) = asyncio.run(outside.server(ctx))
    assert (fault.state, words in fault.text) == ("wrong", True), fault
    assert fault.todo


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 50_000, b'{"peer": ' * 20_000, b'{"at": 1e999, "peer": 1}'])
def test_an_answer_that_is_no_json_is_somebody_elses(deployment: Deployment, body: bytes) -> None:
    ctx = Context(Settings.from_environ(deployment.environ), Options(url=f"http://127.0.0.1:{(port := free_port())}"))
    with mirror.answering(port, lambda _: (200, {}), body):
        (fault,) = asyncio.run(outside.server(ctx))
    assert fault.text.startswith("Something else than Keystead answers")


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
            one.settimeout(0.1)
        time.sleep(0.05)


def test_no_tls_where_the_address_says_https(site: Site) -> None:
    fault = server_fault(site, "--url", site.url.replace("http:", "https:"))
    assert "There is no TLS" in fault["text"]


def test_the_doctor_alone_is_told_how_a_request_arrives(site: Site) -> None:
    for header in ({}, {"keystead-doctor": "x"}, {"keystead-doctor": ""}):
        assert httpx2.get(f"{site.url}/healthz", headers=header).text == "ok\n"


def test_events_that_should_be_gone_where_nobody_deletes_them(deployment: Deployment) -> None:
    async def happen() -> None:
        backend = await open_backend(deployment.environ["KEYSTEAD_BACKEND"])
        ctx = accounts.Context(Settings.from_environ(deployment.environ), backend, Metrics())
        bert = await commits.add(ctx, account("bert", password_hash=HASH), [Happened("account added")])
        await commits.change(ctx, bert, identities.list_for_preview, True)
        await backend.close()

    with Clock() as clock:
        clock.move(-timedelta(days=400))
        asyncio.run(happen())
    assert said(deployment, "events") == ["All are kept (KEYSTEAD_EVENTS_KEPT is not set)."]
    assert said(deployment, "events", KEYSTEAD_EVENTS_KEPT="395d") == ["None is older than it should be."]
    fault = deployment.fault(KEYSTEAD_EVENTS_KEPT="365d")
    assert (fault["check"], "deletes nothing by itself" in fault["text"]) == ("events", True)
    assert "keystead events expire" in fault["todo"]
    kept = deployment.environ | {"KEYSTEAD_EVENTS_KEPT": "365d"}
    for _ in range(2):  # the newest one stays, and goes in the next night
        command.run("events", "expire", environ=kept).check_returncode()
    assert said(deployment, "events", KEYSTEAD_EVENTS_KEPT="365d") == ["None is older than it should be."]


# secrets that were replaced


def signed(deployment: Deployment, key: str, days_ago: float) -> None:
    """A server whose first secret this was ran until then."""

    async def mark() -> None:
        backend = await open_backend(deployment.environ["KEYSTEAD_BACKEND"])
        await rotation.mark(backend, key)
        await backend.close()

    with Clock() as time:
        time.move(-timedelta(days=days_ago))
        asyncio.run(mark())


def said(deployment: Deployment, check: str, **changes: str) -> list[str]:
    return [finding["text"] for finding in deployment.findings(**changes) if finding["check"] == check]


def at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def test_which_secrets_are_still_needed_and_until_when(deployment: Deployment) -> None:
    new, unknown = "Rk7tQ2wXz9LmB4vNc6YpHs8JdF3gUe5a", "Wq8eRt5yUi2oPa7sDf4gHj6kLz9xCv3b"
    signed(deployment, SECRET, 3)
    ended, until = clock.now() - timedelta(days=3), clock.now() + timedelta(days=4, minutes=10)
    assert said(deployment, "rotation") == ["None was replaced."]
    assert said(deployment, "rotation", KEYSTEAD_SECRET_KEYS=f"{new},{SECRET},{unknown}") == [
        f"Secret 2 of 3 signed until {at(ended)}. Sessions and mailed links carry it until {at(until)}: leave it in its place.",
        "Secret 3 of 3 is not known to have signed here. Leave it in its place for 7 days after it was replaced.",
    ]
    [text] = said(deployment, "rotation", KEYSTEAD_SECRET_KEYS=f"{new},{SECRET}", KEYSTEAD_SESSION_LIFETIME="30d")
    assert f"until {at(until + timedelta(days=23))}" in text
    signed(deployment, SECRET, 8)
    [text] = said(deployment, "rotation", KEYSTEAD_SECRET_KEYS=f"{new},{SECRET}")
    assert text.endswith("UTC: move it to KEYSTEAD_RETIRED_KEYS.")
    [text] = said(deployment, "rotation", KEYSTEAD_SECRET_KEYS=new, KEYSTEAD_RETIRED_KEYS=SECRET)
    assert "Leave it in its place for as long as you keep them." in text
    [text] = said(deployment, "rotation", KEYSTEAD_SECRET_KEYS=new, KEYSTEAD_RETIRED_KEYS=SECRET, KEYSTEAD_EVENTS_KEPT="365d")
    assert f"They are kept until {clock.now() + timedelta(days=357):%Y-%m-%d}" in text


def test_a_secret_that_stands_twice(deployment: Deployment) -> None:
    fault = deployment.fault(KEYSTEAD_RETIRED_KEYS=SECRET)
    assert (fault["check"], "stands twice" in fault["text"]) == ("rotation", True)
