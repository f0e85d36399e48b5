"""`keystead app …`: what is added and removed, and that the record that holds it is nobody's account."""

import json
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from backends.records import Account, Record
from tests.browser import live_site
from tests.cli import deployment as deployments
from tests.cli.deployment import PASSWORD, Deployment
from webapp.accounts import apps, identities
from webapp.accounts.apps import Apps
from webapp.accounts.context import Context
from webapp.settings import Settings

WIKI = "https://wiki.example.com"


@pytest.fixture(autouse=True)
def no_lease(request: pytest.FixtureRequest, deployment: Deployment) -> None:
    """Each of these commands waits for two seconds, which is what one test is about; the others begin with an app."""
    if "added" in request.fixturenames:
        made = apps.new(Settings.from_environ(deployment.environ), "wiki", [WIKI], deployments.NOW)
        deployment.ask(lambda ctx: apps.change(ctx, "add", made))


@pytest.fixture
def added() -> str:
    """The wiki is there."""
    return "wiki"


async def everything(ctx: Context) -> list[Record]:
    return [record async for record in ctx.backend.dump()]


def test_an_app_is_added_listed_shown_and_removed(deployment: Deployment) -> None:
    wishes = ("--title", "The Wiki", "--key", "required", "--fresh", "15m", "--group", "Staff")
    said = deployment.ok("app", "add", "wiki", WIKI, "https://bücher.example", *wishes)
    assert said.startswith("Added wiki.")
    assert f"keystead doctor --app {WIKI}" in said
    assert deployment.ok("app", "list").splitlines()[1].split() == [
        "wiki", WIKI, "https://xn--bcher-kva.example", "required", "15", "min", "staff",
    ]  # fmt: skip
    listed = json.loads(deployment.ok("app", "list", "--json"))
    assert listed["addresses"] == [WIKI, "https://xn--bcher-kva.example"]
    assert (listed["key"], listed["fresh_minutes"], listed["groups"], listed["title"]) == ("required", 15, ["staff"], "The Wiki")
    shown = deployment.ok("app", "show", "wiki")
    assert "a proof of at most 15 minutes" in shown
    assert "0 could open it now" in shown
    assert "Aborted" in deployment.refused("app", "remove", "wiki", stdin="n\n")
    assert deployment.ok("app", "remove", "wiki", "--yes") == "Removed wiki. Nobody is let in there any more.\n"
    assert deployment.ok("app", "list").splitlines() == ["NAME  ADDRESSES  KEY  FRESH  GROUPS"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["wiki", "https://other.example.com"], "There is an app of this name already"),
        (["board", WIKI], "Another app is at one of these hosts"),
        (["board", f"{WIKI}:8443"], "Another app is at one of these hosts"),
        (["Board", "https://board.example.com"], "cannot be the name of an app"),
        (["board", "http://board.example.com"], "must be https"),
        (["board", "https://account.example.com"], "is at our own host"),
        (["board", "https://board.example.com/wiki"], "no path"),
        (["board", "https://board.example.com", "--fresh", "2d"], "1m to 24h"),
        (
            ["board", "https://board.example.com", "--fresh", "soon"],
            "--fresh: must be a number of minutes, hours or days, such as 30m, 12h or 7d",
        ),
        (["board", "https://board.example.com", "--group", "everyone"], "cannot be a group"),
        (["board"], "Missing argument"),
    ],
)
def test_what_cannot_be_an_app_is_refused_with_a_reason(deployment: Deployment, added: str, words: list[str], says: str) -> None:
    assert says in deployment.refused("app", "add", *words)
    assert [each.name for each in deployment.ask(lambda ctx: Apps().read(ctx.backend))] == [added]


@pytest.mark.parametrize("command", ["show", "remove"])
def test_an_app_that_is_not_there_is_named(deployment: Deployment, command: str) -> None:
    assert "There is no app board: keystead app list" in deployment.refused("app", command, "board")


# the site's own record is nobody


@pytest.mark.parametrize("name", ["site", " site"])
@pytest.mark.parametrize(
    "words",
    [
        "account show NAME", "account password NAME --stdin", "account email NAME x@example.com", "account freeze NAME",
        "account groups NAME staff", "account preview NAME on", "account remove NAME --yes", "account export NAME",
        "account rename NAME other", "key list NAME", "helpdesk 123456 NAME",
    ],
)  # fmt: skip
def test_no_command_takes_the_sites_own_record_for_an_account(deployment: Deployment, added: str, words: str, name: str) -> None:
    before = deployment.ask(everything)
    said = deployment.refused(*(name if word == "NAME" else word for word in words.split()), stdin=f"{PASSWORD}\n")
    assert "There is no account" in said, said
    assert deployment.ask(everything) == before


def test_no_list_of_accounts_has_the_sites_own_record(deployment: Deployment, added: str, anna: Account) -> None:
    assert [line.split()[0] for line in deployment.ok("account", "list").splitlines()] == ["USERNAME", "anna"]
    listed = deployment.ok("account", "list", "--json").splitlines()
    assert [json.loads(line)["username"] for line in listed] == ["anna"]


def test_doctor_counts_nobody_where_there_is_an_app_and_no_account(deployment: Deployment, added: str) -> None:
    assert "There is no account." in deployment.run("doctor").stdout


def test_somebody_may_be_called_what_the_sites_own_record_is(deployment: Deployment, added: str) -> None:
    deployment.ok("account", "add", "site", "site@example.com", "--stdin", stdin=f"{PASSWORD}\n")
    assert deployment.read("site").email == "site@example.com"
    deployment.ok("account", "remove", "site", "--yes")
    assert deployment.ask(lambda ctx: Apps().read(ctx.backend))


def test_apps_are_backed_up_restored_copied_and_checked_with_the_accounts(
    deployment: Deployment, added: str, anna: Account, tmp_path: Path
) -> None:
    other = (tmp_path / "other.db").as_uri()
    deployment.ok("backend", "backup", str(tmp_path / "backup.jsonl"))
    deployment.ok("backend", "migrate", KEYSTEAD_BACKEND=other)
    deployment.ok("backend", "restore", str(tmp_path / "backup.jsonl"), KEYSTEAD_BACKEND=other)
    assert "wiki" in deployment.ok("app", "list", KEYSTEAD_BACKEND=other)
    for where in ({}, {"KEYSTEAD_BACKEND": other}):
        assert "All is well." in deployment.ok("backend", "check", **where)
    deployment.ok("backend", "migrate")
    assert "All is well." in deployment.ok("backend", "check")


def test_check_finds_an_app_that_was_added_behind_our_back(deployment: Deployment, added: str) -> None:
    async def meddle(ctx: Context) -> None:
        was = await ctx.backend.account(identities.SITE)
        assert was
        (app,) = was.apps
        now = replace(was, version=was.version + 1, apps=(replace(app, origins=("https://evil.example",)),))
        assert await ctx.backend.commit(was, now)

    deployment.ask(meddle)
    assert "All is well." not in deployment.run("backend", "check").stdout


def test_once_the_command_has_returned_every_process_knows(tmp_path: Path) -> None:
    """Two processes, asked all the time by a proxy."""
    settings = {"WEB_CONCURRENCY": "2", "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1"}
    with live_site.serving(tmp_path, **settings) as site, asked_all_the_time(site.url) as answers:
        for command, expected in (
            (("add", "wiki", "http://wiki.localhost:9001"), 401),
            (("remove", "wiki", "--yes"), 403),
            (("add", "wiki", "http://wiki.localhost:9001"), 401),
        ):
            done = site.keystead("app", *command)
            assert done.returncode == 0, done.stderr
            returned = time.monotonic()
            time.sleep(1)
            after = Counter(status for begun, status in list(answers) if begun > returned)
            assert set(after) == {expected}, after
            assert after.total() > 50


class asked_all_the_time:  # noqa: N801 - reads as a word where it is used
    """Checks of a stranger, in threads of their own: when each began, and its status."""

    def __init__(self, url: str) -> None:
        self.port, self.answers, self.over = urlsplit(url).port, list[tuple[float, int]](), threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def __enter__(self) -> list[tuple[float, int]]:
        for thread in self.threads:
            thread.start()
        return self.answers

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _ask(self) -> None:
        told = {"X-Original-URL": "http://wiki.localhost:9001/", "X-Original-Method": "POST"}
        while not self.over.is_set():
            connection, begun = HTTPConnection("127.0.0.1", self.port, timeout=10), time.monotonic()
            connection.request("GET", "/check", headers=told)
            self.answers.append((begun, connection.getresponse().status))
            connection.close()
            time.sleep(0.005)
