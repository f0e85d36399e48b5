"""The keystead command as a whole: what it says before anything is done."""

import os
import re
import subprocess
import sys

import pytest
from msgspec.structs import replace

from backends.records import Account
from tests.cli.deployment import PLAIN, Deployment
from tests.command import KEYSTEAD
from webapp import __version__


def test_help_is_there_at_once_and_loads_nothing_heavy() -> None:
    # Measuring coverage in the child would load sqlite3 for itself.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-X", "importtime", "-m", "webapp", "--help"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert {"serve", "demo", "doctor", "account", "key", "backend", "events", "secret"} <= set(done.stdout.split())
    loaded = set(re.findall(r"\| +([a-z0-9_]+)$", done.stderr, re.MULTILINE))
    assert not loaded & {"starlette", "fido2", "uvicorn", "jinja2", "sqlite3", "pymongo", "cryptography", "argon2", "msgspec"}


def test_the_version_is_the_one_of_the_package() -> None:
    done = subprocess.run([*KEYSTEAD, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"keystead {__version__}\n"


def test_a_secret_is_a_good_one_and_never_the_same(deployment: Deployment) -> None:
    made = {deployment.ok("secret").strip() for _ in range(3)}
    assert len(made) == 3
    assert {len(secret) for secret in made} == {43}


@pytest.mark.parametrize("words", [("serve",), ("account", "list"), ("key", "list", "anna"), ("events", "expire")])
def test_without_settings_every_missing_one_is_named(words: tuple[str, ...]) -> None:
    done = subprocess.run([*KEYSTEAD, *words], env=PLAIN, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for variable in ("PUBLIC_URL", "SECRET_KEYS", "BACKEND", "MAIL", "MAIL_FROM"):
        assert f"KEYSTEAD_{variable}\n" in done.stderr
    assert "keystead secret" in done.stderr


def test_a_backend_that_nobody_has_installed_is_said(deployment: Deployment) -> None:
    said = deployment.refused("account", "list", KEYSTEAD_BACKEND="acme://somewhere/else")
    assert "No backend is installed for acme:" in said


def test_a_backend_that_cannot_be_opened_is_said(deployment: Deployment) -> None:
    (deployment.folder / "file").write_text("this is no database, and never was one")
    said = deployment.refused("account", "list", KEYSTEAD_BACKEND=(deployment.folder / "file").as_uri())
    assert str(deployment.folder / "file") in said


@pytest.mark.parametrize("words", [("account", "add", "anna", "a@example.com", "--stdin"), ("account", "invite", "--stdin")])
def test_what_comes_by_standard_input_and_is_no_utf_8_is_refused(deployment: Deployment, words: tuple[str, ...]) -> None:
    """A password of which nobody knows what was meant could never be typed in a browser."""
    typed = "Jörgs password is long enough".encode("latin-1")
    for utf_8 in ("0", "1"):
        environ = deployment.environ | {"PYTHONUTF8": utf_8, "LC_ALL": "C"}
        done = subprocess.run([*KEYSTEAD, *words], env=environ, input=typed, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (1, b"Error: What comes by standard input is no UTF-8. Nothing was done.\n")
    assert deployment.ok("account", "list").count("\n") == 1


def test_an_id_that_begins_like_an_option_can_be_given(deployment: Deployment, anna: Account) -> None:
    """As every 64th does, in the log and in `key list`."""
    deployment.add(replace(anna, id="-kHw", username="bert", email="bert@example.com", keys=(), sessions=()))
    assert "What begins with - and is no option is given behind --" in deployment.refused("account", "show", "-kHw")
    assert "bert" in deployment.ok("account", "show", "--", "-kHw")


def test_whoever_is_not_found_is_said_why(deployment: Deployment, anna: Account) -> None:
    deployment.add(replace(anna, id="bert", username="bert", keys=(), sessions=()))
    deployment.ok("account", "invite", "carl@example.com")
    for name, why in (
        ("zoe", "There is no account zoe. Those that there are: keystead account list"),
        ("anna@example.com", "An address that several accounts have finds none of them: keystead account list"),
        ("carl@example.com", "carl@example.com is invited, and has not joined yet: keystead account invitations"),
    ):
        assert why in deployment.refused("account", "show", name)


@pytest.mark.parametrize("command", ["account show", "events export", "account withdraw", "app show", "key list"])
def test_what_is_no_text_names_nobody(deployment: Deployment, command: str) -> None:
    """Typed in Latin-1, where UTF-8 is spoken."""
    said = deployment.refused(*command.split(), os.fsdecode(b"J\xf6rg"))
    assert re.search("There is no|is not invited", said)
