"""Pushed as to a platform: a fresh environment with requirements.txt and nothing else, `release` and then `web` of the Procfile,
nothing but variables, a port that is given, TLS that ends before it; and somebody who logs on with a key.
"""

import re
import secrets
import shutil
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.browser import live_site, walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Site
from tests.deploy.proxies import PROGRAMS, ROOT, Place, proxy
from webapp.testing.mailbox import SmtpMailbox, free_port

PINS = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def slug(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a platform builds: the files that git knows, and an environment beside them."""
    folder = tmp_path_factory.mktemp("platform")
    app = folder / "app"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "bench/", "docs/")):
            (app / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, app / name)
    _install(folder / "venv")
    return folder


def _install(folder: Path) -> None:
    """An environment with what requirements.txt pins and nothing else: the files that are installed here already."""
    venv.create(folder, symlinks=True)
    [target] = folder.glob("lib/*/site-packages")
    for name, version in PINS:
        found = distribution(name)
        assert found.version == version, f"{name} {version} is pinned, and {found.version} is installed"
        for top in {Path(file).parts[0] for file in found.files or [] if Path(file).parts[0] not in ("..", "__pycache__")}:
            if not (target / top).exists():
                (target / top).symlink_to(str(found.locate_file(top)))


def procfile(name: str) -> str:
    commands: dict[str, str] = dict(re.findall(r"^(\w+): (.+)$", (ROOT / "Procfile").read_text(), re.MULTILINE))
    return commands[name]


@contextmanager
def pushed(slug: Path, port: int, url: str, mail: str, records: Path) -> Iterator[Site]:
    """The release, then the web process, as a platform runs them."""
    environ = {
        "PATH": f"{slug}/venv/bin:/usr/bin:/bin",
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
        "KEYSTEAD_PUBLIC_URL": url,
        "KEYSTEAD_SECRET_KEYS": secrets.token_urlsafe(32),
        "KEYSTEAD_BACKEND": (records / "keystead.db").as_uri(),
        "KEYSTEAD_MAIL": mail,
        "KEYSTEAD_MAIL_FROM": "keystead@example.com",
        "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.0/8",
    }
    release = subprocess.run(
        ["sh", "-c", procfile("release")], cwd=slug / "app", env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert release.returncode == 0, release.stderr
    with (records / "log").open("w") as log:
        web = subprocess.Popen(["sh", "-c", f"exec {procfile('web')}"], cwd=slug / "app", env=environ, stdout=log, stderr=log)
    try:
        assert live_site.wait_for(port, web), (records / "log").read_text()
        yield Site(url, records, environ)
    finally:
        web.terminate()
        web.wait(10)


def test_the_environment_holds_what_is_pinned_and_nothing_else(slug: Path) -> None:
    imports = "import starlette, uvicorn, uvloop, httptools, fido2, pymongo, argon2, prometheus_client"
    python = slug / "venv" / "bin" / "python"
    subprocess.run([python, "-c", imports], check=True, cwd=slug)
    for absent in ("pytest", "playwright", "httpx2", "secantus", "webapp"):
        assert subprocess.run([python, "-c", f"import {absent}"], check=False, cwd=slug, capture_output=True).returncode == 1, (
            absent
        )


def test_pushed_to_a_platform_somebody_logs_on_with_a_key(slug: Path, certificate: Path, tmp_path: Path, visit: Visit) -> None:
    if PROGRAMS["caddy"] is None:
        pytest.skip("caddy IS NOT INSTALLED: nothing was pushed")
    http, https, keystead = free_port(), free_port(), free_port()
    router = Place(
        host="localhost", other_host="www.example.test", http=http, https=https, keystead=keystead, certificate=certificate
    )
    url = f"https://localhost:{router.https}"
    with (
        SmtpMailbox() as mailbox,
        pushed(slug, router.keystead, url, mailbox.url, tmp_path) as site,
        proxy("caddy", tmp_path / "router", router),
    ):
        person = site.person()
        visit.keys.add("u2f")
        walk.log_on(visit.page, site, person)
        visit.page.goto(site.url + walk.U2F)
        visit.page.get_by_role("button", name="Send verification code to email").click()
        visit.page.get_by_label("Verification code").fill(mailbox.code(person.email))
        visit.page.get_by_role("button", name="Submit for verification").click()
        walk.touch_to_bind(visit.page, "Blue")
        visit.page.wait_for_url("**/u2f/done")
        walk.log_off(visit.page, site)
        walk.log_on(visit.page, site, person)
        walk.touch_to_log_on(visit.page, site)
        examined = examine(slug, site, certificate)
    assert "Nothing is wrong.\n" in examined, examined
    assert "unchecked" not in examined
    assert "Traceback" not in (tmp_path / "log").read_text()


def examine(slug: Path, site: Site, certificate: Path) -> str:
    """What doctor says, with the platform's variables."""
    command = [f"{slug}/venv/bin/python", "-m", "webapp", "doctor"]
    environ = site.environ | {"SSL_CERT_FILE": str(certificate)}
    done = subprocess.run(command, cwd=slug / "app", env=environ, capture_output=True, text=True, timeout=60, check=False)
    return f"{done.stdout}{done.stderr}"
