"""`keystead account import`: says what it would do, does all of it or nothing, and can be done again."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from backends.records import Account
from tests.cli.deployment import Deployment
from tests.command import KEYSTEAD
from tests.foreign import MADE, WEAK
from webapp.accounts.context import Context

HASH = MADE["bcrypt 2y"]
ROWS = 10_000
"""So many that there is time to kill an import of them."""


def csv(deployment: Deployment, *rows: str, name: str = "people.csv") -> str:
    file = deployment.folder / name
    file.write_text("\n".join(["username,email,password", *rows, ""]))
    return str(file)


async def usernames(ctx: Context) -> list[str]:
    return [found.username async for found in ctx.backend.accounts()]


def test_it_says_what_it_would_do_and_asks(deployment: Deployment, anna: Account) -> None:
    file = csv(
        deployment, f"bert,b@example.com,{HASH}", f"carl,c@example.com,{MADE['django scrypt']}", f"dora,d@example.com,{WEAK[0]}",
        "anna,anna@example.com,", f"eve,c@example.com,{HASH}",
    )  # fmt: skip
    dry = deployment.ok("account", "import", file, "--dry-run")
    assert dry.splitlines() == [
        "people.csv, read as CSV:",
        "       4  new",
        "         2  keep their passwords (bcrypt 4)",
        "         1  keep their passwords (scrypt N=1024 r=8 p=1)",
        "         1  must ask for a new password, and are told by mail",
        "       1  here already: they stay as they are",
        "       2  share an e-mail address, so that they log on by username only: carl, eve",
        "Nothing was done.",
    ]
    assert "Aborted" in deployment.refused("account", "import", file, stdin="n\n")
    assert deployment.ask(usernames) == ["anna"]
    assert "Imported 4 accounts." in deployment.ok("account", "import", file, "--group", "staff", stdin="y\n")
    assert deployment.ask(usernames) == ["anna", "bert", "carl", "dora", "eve"]
    assert deployment.read("dora").groups == ("staff",)
    assert [letter.kind for letter in deployment.read("dora").notifications] == ["password needed"]
    assert deployment.read() == anna
    assert "All is well." in deployment.ok("backend", "check")
    assert deployment.ok("account", "import", file, "--yes").endswith("Nothing was done.\n"), "done again, it does nothing"


def test_a_mistake_in_one_row_imports_nothing(deployment: Deployment, anna: Account) -> None:
    rows = [f"p{number},p{number}@example.com,{HASH}" for number in range(1000)]
    rows[898], rows[950] = "p898,p898@example.com,hunter2", f"P7,x@example.com,{HASH}"
    said = deployment.refused("account", "import", csv(deployment, *rows), "--yes")
    assert "Line 900: the password is no hash of a kind that is known" in said
    assert "Line 952: line 9 has the same username." in said
    assert "2 rows cannot be imported. Nothing was imported." in said
    assert "hunter2" not in said
    assert deployment.ask(usernames) == ["anna"]


def test_every_reason_has_its_words_and_says_nothing_of_what_a_field_holds(deployment: Deployment, anna: Account) -> None:
    secret = "hunter2hunter2hunter2"
    rows = [
        f",,{secret}", f"a\tb,a@example.com,{HASH}", f"bert,,{HASH}", f"carl,{secret},{HASH}", f"dora,d@example.com,{secret}",
        "eve,e@example.com,$2b$04$short", "fred,f@example.com,pbkdf2_sha256$2147483648$salty$abcd", f"anna,x@example.com,{HASH}",
        "gina", f'hugo,h@example.com,"{secret}',
    ]  # fmt: skip
    said = deployment.refused("account", "import", csv(deployment, *rows))
    assert secret not in said
    for number in range(2, 12):
        assert f"Line {number}: " in said
    assert "--reset-others" in said
    assert "--domain" in said


def test_files_of_other_kinds_are_known_by_how_they_look(deployment: Deployment) -> None:
    deployment.ok("backend", "migrate")
    passwd = deployment.folder / "htpasswd"
    passwd.write_text(f"anna:{HASH}\nbert:{WEAK[0]}\n")
    assert "read as htpasswd" in deployment.ok(
        "account", "import", str(passwd), "--domain", "example.org", "--yes", "--no-letters"
    )
    assert (deployment.read().email, deployment.read("bert").notifications) == ("anna@example.org", ())
    dump = deployment.folder / "dump.json"
    fields = {"username": "carl", "email": "c@example.com", "password": MADE["django bcrypt_sha256"], "is_active": True}
    off = {"username": "dora", "email": "d@example.com", "password": HASH, "is_active": False}
    dump.write_text(json.dumps([{"model": "auth.user", "pk": 1, "fields": each} for each in (fields, off)]))
    said = deployment.ok("account", "import", str(dump), "--yes")
    assert "read as Django's dumpdata" in said
    assert "1  not active: left out" in said
    assert deployment.ask(usernames) == ["anna", "bert", "carl"]
    other = deployment.folder / "other"
    other.write_bytes(b"what is this\n")
    assert "--format" in deployment.refused("account", "import", str(other))
    other.write_bytes(b"username,email\nanna,a\xff\n")
    assert "Line 2: this is no UTF-8." in deployment.refused("account", "import", str(other))


def test_an_import_that_is_killed_can_be_repeated(deployment: Deployment) -> None:
    deployment.ok("backend", "migrate")
    rows = [f"p{number},p{number}@example.com,{HASH}" for number in range(ROWS)]
    file = csv(deployment, *rows)
    with subprocess.Popen(
        [*KEYSTEAD, "account", "import", file, "--yes"], env=deployment.environ, stdout=subprocess.DEVNULL
    ) as run:
        ends = time.monotonic() + 30
        while not (before := deployment.ask(usernames)) and time.monotonic() < ends:
            time.sleep(0.01)
        run.kill()
    before = deployment.ask(usernames)
    assert 0 < len(before) < ROWS
    said = deployment.ok("account", "import", file, "--yes")
    assert f"{len(before):,}  here already" in said
    assert len(deployment.ask(usernames)) == ROWS
    assert "All is well." in deployment.ok("backend", "check")


def test_bcrypt_hashes_need_their_library_and_that_is_said(deployment: Deployment, tmp_path: Path) -> None:
    deployment.ok("backend", "migrate")
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "bcrypt.py").write_text("raise ImportError\n")
    file = csv(deployment, f"bert,b@example.com,{HASH}")
    without = deployment.environ | {"PYTHONPATH": str(tmp_path / "without")}
    done = subprocess.run([*KEYSTEAD, "account", "import", file], env=without, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install bcrypt" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("group", ["everyone", "no blanks"])
def test_a_group_that_is_none_is_refused(deployment: Deployment, group: str) -> None:
    deployment.ok("backend", "migrate")
    assert "cannot be a group" in deployment.refused("account", "import", csv(deployment), "--group", group)
