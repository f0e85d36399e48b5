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
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backends import migrate, open_backend, sqlite_file
from backends.contract.samples import account, key
from backends.records import Account, Notification
from tests import mongo_server
from tests.browser import live_site
from tests.browser.live_site import Site
from webapp import clock
from webapp.accounts import rotation
from webapp.accounts.owed import GIVEN_UP
from webapp.testing.clock import Clock
from webapp.testing.mailbox import SmtpMailbox, free_port, text_of

DOCTOR = [sys.executable, "-m", "webapp", "doctor"]
SECRET = "pU3xk9vQmZt6LbRw2yHs8cNf4dGj7aEo"
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
        command = [*before, *DOCTOR, *words]
        return subprocess.run(command, env=self.environ | changes, capture_output=True, text=True, timeout=60, check=False)

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
        done = site.keystead("doctor", "--mail", "anna@example.com")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing is wrong.\n" in done.stdout
    checks = [line.split()[:2] for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    expected = [
        "settings", "secrets", "address", "help", "backend", "files", "disk", "clock", "keys", "rotation", "accounts",
        "letters", "mail",
        "server",
    ]  # fmt: skip
    assert checks == [*(["ok", name] for name in expected), ["Nothing", "is"]]
    assert mailbox.newest("anna@example.com")["subject"] == "Mail from Keystead arrives"
    assert "Nothing is to be done" in text_of(mailbox.newest("anna@example.com"))


def test_what_cannot_be_reached_from_here_is_no_fault_and_is_said(deployment: Deployment) -> None:
    done = deployment.examined()
    assert done.returncode == 0
    assert "unchecked  server     https://account.example.invalid cannot be reached from here" in done.stdout
    assert "Nothing is wrong. 1 could not be checked from here." in done.stdout


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


# people


def test_two_accounts_that_share_an_address_are_named(deployment: Deployment) -> None:
    for name, email in (("bert", "alice@EXAMPLE.com"), ("carl", "carl@example.com")):
        deployment.add(account(name, email=email))
    fault = deployment.fault()
    assert (fault["check"], fault["text"]) == (
        "accounts",
        "alice and bert share an e-mail address: it finds none of them at the logon.",
    )
    assert "keystead account email" in fault["todo"]


def test_where_nobody_has_an_account_yet_that_is_said(deployment: Deployment) -> None:
    deployment.file.unlink()
    subprocess.run([*DOCTOR[:3], "backend", "migrate"], env=deployment.environ, check=True, capture_output=True)
    found = {finding["check"]: finding["text"] for finding in deployment.findings()}
    assert found["accounts"] == "There is none yet: `keystead account add` makes one."


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
        yield site


def server_fault(site: Site, *words: str, **changes: str) -> dict[str, str]:
    """The one thing that is wrong with the running server, as somebody with these variables sees it."""
    done = subprocess.run([*DOCTOR, *words, "--json"], env=site.environ | changes, capture_output=True, text=True, check=False)
    faults: list[dict[str, str]] = [found for found in json.loads(done.stdout)["findings"] if found["state"] == "wrong"]
    assert (len(faults), done.returncode) == (1, 1), faults
    return faults[0]


def test_a_server_that_was_started_with_other_secrets(site: Site) -> None:
    fault = server_fault(site, KEYSTEAD_SECRET_KEYS=SECRET)
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
