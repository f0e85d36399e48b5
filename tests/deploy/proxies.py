"""The real nginx, Caddy and Traefik on this machine, from the files in deploy/: their hosts, ports and certificates replaced.

Nothing else of the files is touched, so that what is tested is what a deployer copies. A replacement that finds nothing is an
error: the file has changed, and the test must learn of it.
"""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
ProxyName = Literal["nginx", "caddy", "caddy-2.10.2", "caddy-2.11.7", "traefik"]
_PATH = f"{os.environ['PATH']}:/usr/sbin"
PROGRAMS: dict[ProxyName, str | None] = {
    "nginx": shutil.which("nginx", path=_PATH),
    "caddy": shutil.which("caddy", path=_PATH),
    # `make caddies` brings these two.
    "caddy-2.10.2": shutil.which(f"{sys.prefix}/caddy-2.10.2/bin/caddy"),
    "caddy-2.11.7": shutil.which(f"{sys.prefix}/caddy-2.11.7/bin/caddy"),
    "traefik": shutil.which("traefik", path=_PATH),
}
SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a proxy listens and passes requests to. `host` and `other_host` stand for account. and www.example.com; `apps` are
    hosts of apps behind Keystead, and the port that each app listens on; `change_apps` is what a deployer did to their files.
    """

    host: str
    other_host: str
    http: int
    https: int
    keystead: int
    certificate: Path
    apps: Mapping[str, int] = field(default_factory=dict)
    change_apps: Callable[[str], str] = str


@contextmanager
def proxy(name: ProxyName, folder: Path, place: Place, change: Callable[[str], str] = lambda text: text) -> Iterator[None]:
    """The proxy, running. `change` is what a deployer did to the file."""
    folder.mkdir(parents=True, exist_ok=True)
    program = PROGRAMS[name]
    assert program is not None, f"{name} is not installed"
    configure = {"nginx": _nginx, "traefik": _traefik}.get(name, _caddy)
    command = [program, *configure(folder, place, change)]
    environ = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for(place, running, folder / "log")
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
    (folder / "site.conf").write_text(change(text) + _nginx_apps(folder, place))
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log stderr; {_asked_of_nginx_itself(file)}\n"
        f"http {{ access_log off; {temporary} include {folder}/site.conf; }}\n"
    )
    return ["-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def _nginx_apps(folder: Path, place: Place) -> str:
    """nginx.apps.conf with a server for each app, as its deployer would repeat the one that is there."""
    if not place.apps:
        return ""
    guard = folder / "keystead-guard.conf"
    guard.write_text(place.change_apps((ROOT / "deploy" / "nginx.guard.conf").read_text()))
    maps, begin, server = (ROOT / "deploy" / "nginx.apps.conf").read_text().partition("server {")
    return place.change_apps(maps) + "\n".join(
        replaced(
            place.change_apps(begin + server),
            {
                "/etc/letsencrypt/live/wiki.example.com/fullchain.pem": str(place.certificate),
                "/etc/letsencrypt/live/wiki.example.com/privkey.pem": str(place.certificate),
                "wiki.example.com": host,
                "/etc/nginx/keystead-guard.conf": str(guard),
                "listen 443 ssl;": f"listen 127.0.0.1:{place.https} ssl;",
                "127.0.0.1:3000": f"127.0.0.1:{port}",
            },
        )
        for host, port in place.apps.items()
    )


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
    (folder / "Caddyfile").write_text(change(text) + _caddy_apps(place, tls))
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def _caddy_apps(place: Place, tls: str) -> str:
    """Caddyfile.apps with a site for each app, as its deployer would repeat the one that is there."""
    if not place.apps:
        return ""
    text = place.change_apps((ROOT / "deploy" / "Caddyfile.apps").read_text())
    guard, begin, site = replaced(text, {"127.0.0.1:8000": f"127.0.0.1:{place.keystead}"}).partition("\nwiki.example.com {")
    return guard + "".join(
        replaced(begin + site, {"wiki.example.com {": f"https://{host} {{\n\t{tls}", "127.0.0.1:3000": f"127.0.0.1:{port}"})
        for host, port in place.apps.items()
    )


def _traefik(folder: Path, place: Place, change: Callable[[str], str]) -> list[str]:
    file = (ROOT / "deploy" / "traefik.yaml").read_text()
    text = replaced(file, {"account.example.com": place.host, "127.0.0.1:8000": f"127.0.0.1:{place.keystead}"})
    for part in (r"    wiki:\n      rule.*?(?=\n  services:)", r"    wiki:\n      loadBalancer.*?(?=\n  serversTransports:)"):
        [app] = re.findall(part, text, re.DOTALL)
        text = text.replace(app, "".join(_traefik_app(app, host, port) for host, port in place.apps.items()))
    certificate = f'{{ certFile: "{place.certificate}", keyFile: "{place.certificate}" }}'
    (folder / "keystead.yaml").write_text(change(text) + f"\ntls:\n  certificates: [{certificate}]\n")
    points = "\n".join(re.findall(r"^#   (.*)$", file, re.MULTILINE))
    points = replaced(points, {"entryPoints:": "entryPoints:", "address: :443": f"address: 127.0.0.1:{place.https}"})
    providers = f"providers: {{ file: {{ filename: {folder}/keystead.yaml }} }}\n"
    (folder / "traefik.yml").write_text(f"{points}\n{providers}global: {{ checkNewVersion: false }}\n")
    return [f"--configFile={folder}/traefik.yml"]


def _traefik_app(text: str, host: str, port: int) -> str:
    """The lines of the app that is in the file for this one."""
    text = text.replace("wiki.example.com", host).replace("127.0.0.1:3000", f"127.0.0.1:{port}")
    return re.sub(r"\bwiki\b(?!\.)", host.partition(".")[0], text)


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, f"{old!r} is no longer in the file"
        text = text.replace(old, new)
    return text


def _wait_for(place: Place, running: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it shows the certificate: Traefik listens before it knows anything."""
    ends, trusting = time.monotonic() + SECONDS, ssl.create_default_context(cafile=str(place.certificate))
    while running.poll() is None and time.monotonic() < ends:
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", place.https), 1) as one,
            trusting.wrap_socket(one, server_hostname=place.host),
        ):
            return
        time.sleep(0.02)
    raise AssertionError(f"it did not start:\n{log.read_text()}")
