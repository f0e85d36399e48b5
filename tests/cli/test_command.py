"""The keystead command as a whole: what it says before anything is done."""

import os
import re
import subprocess
import sys

import pytest

from tests.cli.deployment import KEYSTEAD, PLAIN, Deployment
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


@pytest.mark.parametrize("command", ["account show", "events export", "account withdraw", "app show", "key list"])
def test_what_is_no_text_names_nobody(deployment: Deployment, command: str) -> None:
    """Typed in Latin-1, where UTF-8 is spoken."""
    said = deployment.refused(*command.split(), os.fsdecode(b"J\xf6rg"))
    assert re.search("There is no|is not invited", said)
