"""What docs/apps.md says is so: its blocks are the files of deploy/, its commands can be typed, its tables are what happens."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.cli.deployment import Deployment, anna
from webapp.accounts import groups
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import PAGE, Visitor

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "apps.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse(dict(Request(scope).headers))(scope, receive, send)


def rows(head: str) -> list[list[str]]:
    """The table whose first column is called like this, without its head."""
    [found] = re.findall(rf"^\| {head} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found.splitlines()]


@pytest.mark.parametrize(("file", "begin"), [("Caddyfile.apps", "wiki.example.com {"), ("nginx.apps.conf", "server {")])
def test_what_is_pasted_into_the_proxy_is_the_end_of_the_file_that_is_tested(file: str, begin: str) -> None:
    [block] = [block for block in BLOCKS if block.startswith(begin)]
    assert (ROOT / "deploy" / file).read_text().endswith(block)


def test_the_commands_can_be_typed(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.add(anna())
    typed = [line for block in BLOCKS for line in block.splitlines() if line.startswith("keystead ")]
    add, doctor = (re.findall(r'"[^"]+"|\S+', line)[1:] for line in typed)
    assert "Added wiki" in deployment.ok(*(word.strip('"') for word in add))
    assert "The wiki" in deployment.ok("app", "show", "wiki")
    assert "https://wiki.example.com cannot be reached from here" in deployment.run(*doctor).stdout


def test_every_kind_of_app_can_be_added(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    for number, row in enumerate(rows("the application")):
        words = re.search(r"`([^`]+)`", row[1])
        assert words
        wishes = words[1].split() if words[1].startswith("--") else []
        deployment.ok("app", "add", f"app-{number}", f"https://app-{number}.example.com", *wishes)


def enter(visitor: Visitor, site: Site, url: str, key: StubKey | None = None) -> None:
    visitor.log_on("zoe", site.password, key)
    visitor.open(url)


def test_the_headers_and_what_whoami_says_are_those_of_the_page(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(mirror, "wiki")
    enter(keystead_visitor, keystead, app.url)
    seen = keystead_visitor.client.get(app.url).json()
    told = {name for name in seen if name.startswith(("remote-", "keystead-"))}
    assert {row[0].strip("`").lower() for row in rows("header")} == told
    [shown] = [block for block in BLOCKS if block.startswith("{")]
    assert list(json.loads(shown)) == list(keystead_visitor.client.get(f"{app.url}/.keystead/whoami").json())


def both(visitor: Visitor, url: str, **headers: str) -> tuple[int, int, str]:
    """The status of a page, then status and reason of a script."""
    page = visitor.client.get(url, headers=PAGE | headers)
    script = visitor.client.get(url, headers=headers)
    return page.status_code, script.status_code, script.json()["error"] if script.status_code == 401 else ""


def test_the_table_of_answers_is_what_happens(
    keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock, stub_key: StubKey
) -> None:
    wishes: dict[str, dict[str, Any]] = {
        "wiki": {}, "fresh": {"fresh": 15}, "console": {"key": "required"}, "staff": {"groups": ("staff",)},
    }  # fmt: skip
    url = {name: keystead.behind(mirror, name, **wish).url for name, wish in wishes.items()}
    visitor, happened = keystead_visitor, dict[str, tuple[int, int, str]]()
    happened["a stranger, or whose session has ended"] = both(visitor, url["wiki"])
    enter(visitor, keystead, url["wiki"])
    happened["who may open it"] = both(visitor, url["wiki"])
    happened["who sends one of the headers above"] = both(visitor, url["wiki"], **{"Remote-User": "root"})
    visitor.open(url["fresh"])
    visitor.follow(visitor.send_code())
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    keystead_clock.move(timedelta(minutes=16))
    happened["without a key, where it wants a fresh proof"] = both(visitor, url["fresh"])
    visitor.open(url["console"])
    assert "needs your security key" in visitor.page.text
    visitor.open(url["staff"])
    assert "is not open to you" in visitor.page.text
    keystead.change(keystead.account, groups.set_groups, ("staff",))
    assert visitor.open(url["staff"]).status_code == 200
    keystead.change(keystead.account, groups.set_groups, ())
    happened["who is not in its groups"] = both(visitor, url["staff"])
    visitor.bind(stub_key)
    assert visitor.open(url["fresh"]).status_code == 200
    keystead_clock.move(timedelta(minutes=16))
    happened["whose touch is too old"] = both(visitor, url["fresh"])
    visitor.open(url["console"])
    visitor.unbind(stub_key)
    happened["who has no key, where one is required"] = both(visitor, url["console"])
    *table, away = (answers(row) for row in rows("who asks"))
    assert happened == {row[0]: row[1:] for row in table}
    assert away[0].endswith("while Keystead is away")


def answers(row: list[str]) -> tuple[str, int, int, str]:
    who, page, script = row
    status = page[:3] if script == "the same" else script[:3]
    return who, int(page[:3]), int(status), "".join(re.findall(r'"error": "(\w+)"', script))
