"""The real nginx and the real Caddy on this machine, from the files in deploy/: their hosts, ports and certificates replaced.

Nothing else of the files is touched, so that what is tested is what a deployer copies. A replacement that finds nothing is an
error: the file has changed, and the test must learn of it.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
ProxyName = Literal["nginx", "caddy"]
PROGRAMS: dict[ProxyName, str | None] = {
    name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("nginx", "caddy")
}
SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a proxy listens and passes requests to. `host` and `other_host` stand for account. and www.example.com."""

    host: str
    other_host: str
    http: int
    https: int
    keystead: int
    certificate: Path


@contextmanager
def proxy(name: ProxyName, folder: Path, place: Place, change: Callable[[str], str] = lambda text: text) -> Iterator[None]:
    """The proxy, running. `change` is what a deployer did to the file."""
    folder.mkdir(parents=True, exist_ok=True)
    command = {"nginx": _nginx, "caddy": _caddy}[name](folder, place, change)
    environ = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for(place.https, running, folder / "log")
        yield
    finally:
        running.terminate()
        try:
            running.wait(SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _nginx(folder: Path, place: Place, change: Callable[[str], str]) -> list[str]:
    file = (ROOT / "deploy" / "nginx.conf").read_text()
    text = replaced(
        file,
        {
            "return 308 https://account.example.com": f"return 308 https://{place.host}:{place.https}",
            "return 308 /account-center/": f"return 308 https://{place.other_host}:{place.https}/account-center/",
            "/etc/letsencrypt/live/account.example.com/fullchain.pem": str(place.certificate),
            "/etc/letsencrypt/live/account.example.com/privkey.pem": str(place.certificate),
            "/etc/letsencrypt/live/www.example.com/fullchain.pem": str(place.certificate),
            "/etc/letsencrypt/live/www.example.com/privkey.pem": str(place.certificate),
            "server_name account.example.com": f"server_name {place.host}",
            "server_name www.example.com": f"server_name {place.other_host}",
            "listen 80;": f"listen 127.0.0.1:{place.http};",
            "listen 443 ssl;": f"listen 127.0.0.1:{place.https} ssl;",
            "server 127.0.0.1:8000;": f"server 127.0.0.1:{place.keystead};",
        },
    )
    (folder / "site.conf").write_text(change(text))
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log stderr; {_asked_of_nginx_itself(file)}\n"
        f"http {{ access_log off; {temporary} include {folder}/site.conf; }}\n"
    )
    return [PROGRAMS["nginx"] or "", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def _asked_of_nginx_itself(text: str) -> str:
    """What the file asks to be put into nginx.conf, where it cannot stand itself."""
    found = re.findall(r"^#   (worker_rlimit_nofile .*;|events \{.*\})$", text, re.MULTILINE)
    assert len(found) == 2, "the file no longer says so"
    return " ".join(found)


def _caddy(folder: Path, place: Place, change: Callable[[str], str]) -> list[str]:
    tls = f"tls {place.certificate} {place.certificate}"
    ports = f"http_port {place.http}\n\thttps_port {place.https}\n\tdefault_bind 127.0.0.1\n\tdefault_sni {place.host}"
    text = replaced(
        (ROOT / "deploy" / "Caddyfile").read_text(),
        {
            "\n{\n\tservers {": f"\n{{\n\tadmin off\n\t{ports}\n\tservers {{",
            "\naccount.example.com {": f"\nhttps://{place.host} {{\n\t{tls}",
            "\nwww.example.com {": f"\nhttps://{place.other_host} {{\n\t{tls}",
            "redir /account-center /account-center/": f"redir /account-center https://{place.other_host}:{place.https}/account-center/",
            "reverse_proxy 127.0.0.1:8000": f"reverse_proxy 127.0.0.1:{place.keystead}",
        },
    )
    (folder / "Caddyfile").write_text(change(text))
    return [PROGRAMS["caddy"] or "", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, f"{old!r} is no longer in the file"
        text = text.replace(old, new)
    return text


def _wait_for(port: int, running: "subprocess.Popen[bytes]", log: Path) -> None:
    ends = time.monotonic() + SECONDS
    while running.poll() is None and time.monotonic() < ends:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"it did not start:\n{log.read_text()}")
