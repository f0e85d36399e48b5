"""Virtual security keys for stock Chromium (over CDP) and stock Firefox (over Marionette), with the same questions.

Playwright drives both browsers: Chromium over CDP, Firefox over WebDriver BiDi (channel `moz-firefox`, which Playwright has from
1.58 on and which fails with 1.65). What each browser does otherwise than the other is said where it is.
"""

import base64
import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from webapp.testing.mailbox import free_port

Preference = str | int | float | bool
KeyProtocol = Literal["u2f", "ctap2"]
BrowserName = Literal["chromium", "firefox"]

PROGRAMS: dict[BrowserName, str | None] = {
    "chromium": shutil.which("chromium") or shutil.which("google-chrome"),
    "firefox": shutil.which("firefox-esr") or shutil.which("firefox"),
}
CHROMIUM_RULES = "MAP *.example.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"
"""Every name but these fails without a DNS query; *.example.test is this machine."""
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules={CHROMIUM_RULES}",
]
FIREFOX_PREFS: dict[str, Preference] = {
    # Use the virtual keys, and only them: with usbtoken left on they are ignored.
    "security.webauth.webauthn_enable_softtoken": True,
    "security.webauth.webauthn_enable_usbtoken": False,
    # Otherwise attestation "direct" waits on a prompt.
    "security.webauthn.always_allow_direct_attestation": True,
    # WebAuthn on https with a test certificate.
    "security.webauthn.allow_with_certificate_override": True,
    "network.dns.localDomains": "keys.example.test,www.example.test,example.test",
    # Everything but loopback goes to a closed port of this machine.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": ".example.test",
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.update.enabled": False,
    "extensions.update.enabled": False,
    "app.normandy.enabled": False,
    "toolkit.telemetry.enabled": False,
    "browser.region.network.url": "",
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.newtabpage.enabled": False,
    "browser.startup.page": 0,
    "fission.autostart": False,
    "dom.ipc.processCount": 1,
    "dom.ipc.processPrelaunch.enabled": False,
    "browser.sessionstore.interval": 600000,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "toolkit.cosmeticAnimations.enabled": False,
    "layout.frame_rate": 20,
}
FIREFOX_LOOKS: dict[tuple[str, str], dict[str, Preference]] = {
    ("color_scheme", "dark"): {"layout.css.prefers-color-scheme.content-override": 0},
    ("forced_colors", "active"): {"browser.display.document_color_use": 2},
}
"""Options of a context that Firefox does not hear of over BiDi, and the preferences of a whole Firefox that do the same."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A credential copied out of a virtual key, or to be put into one. `private_key` is PKCS#8 in DER, on P-256."""

    id: bytes
    private_key: bytes
    rp_id: str
    counter: int
    user_handle: bytes | None = None
    resident: bool = False


class VirtualKeys(Protocol):
    """The virtual security keys that a page can use. `key` is what `add` returned."""

    def add(self, protocol: KeyProtocol = "u2f", *, touch: bool = True, uv: bool | None = None) -> str:
        """Insert a new key, which is touched by itself if `touch`; `uv` is whether it has a PIN, and whether that is right."""

    def remove(self, key: str) -> None:
        """Take it out."""

    def set_uv(self, key: str, ok: bool) -> None:
        """Whether the PIN is right from now on."""

    def stored(self, key: str) -> list[StoredKey]:
        """Copies of its credentials."""

    def load(self, key: str, credential: StoredKey) -> None:
        """Put a copied credential into it: a clone, or the same key in another tab."""

    def clear(self) -> None:
        """Take all out."""


MakeKeys = Callable[[Page], VirtualKeys]


class ChromiumKeys:
    """The keys of one page, its frames and its later addresses. Other tabs do not see them: copy with `stored` and `load`.

    Make one for every page, also for one without keys: until then a ceremony hangs for ever, whatever its timeout.
    """

    def __init__(self, page: Page) -> None:
        self._cdp = page.context.new_cdp_session(page)
        self._cdp.send("WebAuthn.enable", {"enableUI": False})
        self._ids: list[str] = []

    def add(self, protocol: KeyProtocol = "u2f", *, touch: bool = True, uv: bool | None = None) -> str:
        options = {
            "protocol": protocol,
            "transport": "usb",
            "hasResidentKey": False,
            "hasUserVerification": uv is not None,
            "isUserVerified": bool(uv),
            "automaticPresenceSimulation": touch,
        }
        key = str(self._cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"])
        self._ids.append(key)
        return key

    def remove(self, key: str) -> None:
        self._ids.remove(key)
        self._cdp.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": key})

    def set_touch(self, key: str, on: bool) -> None:
        """Whether it is touched by itself, in requests that start after this. Firefox has no such command."""
        self._cdp.send("WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": key, "enabled": on})

    def set_uv(self, key: str, ok: bool) -> None:
        self._cdp.send("WebAuthn.setUserVerified", {"authenticatorId": key, "isUserVerified": ok})

    def break_signature(self, key: str, broken: bool = True) -> None:
        """Whether it signs wrongly from now on; ctap2 only. Firefox has no such command."""
        self._cdp.send("WebAuthn.setResponseOverrideBits", {"authenticatorId": key, "isBogusSignature": broken})

    def stored(self, key: str) -> list[StoredKey]:
        found = self._cdp.send("WebAuthn.getCredentials", {"authenticatorId": key})["credentials"]
        return [
            StoredKey(
                id=_decoded(one["credentialId"]),
                private_key=_decoded(one["privateKey"]),
                rp_id=one.get("rpId") or "localhost",  # Chromium tells none of a u2f key
                counter=one["signCount"],
                user_handle=_decoded(one["userHandle"]) if one.get("userHandle") else None,
                resident=one["isResidentCredential"],
            )
            for one in found
        ]

    def load(self, key: str, credential: StoredKey) -> None:
        written: dict[str, Any] = {
            "credentialId": base64.b64encode(credential.id).decode(),
            "privateKey": base64.b64encode(credential.private_key).decode(),
            "rpId": credential.rp_id,
            "signCount": credential.counter,
            "isResidentCredential": credential.resident,
        }
        if credential.user_handle:
            written["userHandle"] = base64.b64encode(credential.user_handle).decode()
        self._cdp.send("WebAuthn.addCredential", {"authenticatorId": key, "credential": written})

    def clear(self) -> None:
        for key in list(self._ids):
            self.remove(key)


MARIONETTE_PROTOCOLS: dict[KeyProtocol, str] = {"u2f": "ctap1/u2f", "ctap2": "ctap2_1"}
"""Not "ctap2": that fails with two ids in allowCredentials."""


class FirefoxKeys:
    """The keys of a whole Firefox: every tab and context sees them. Needs one that was started with `--marionette`.

    A tab in the background is refused: `page.bring_to_front()` first.
    """

    def __init__(self, port: int) -> None:
        self._socket = _connected(port)
        self._answers = self._socket.makefile("rb")
        self._asked = 0
        self._ids: list[str] = []
        self._receive()  # a greeting; no WebDriver:NewSession is needed, Playwright's BiDi session serves

    def add(self, protocol: KeyProtocol = "u2f", *, touch: bool = True, uv: bool | None = None) -> str:
        key = str(
            self._command(
                "WebAuthn:AddVirtualAuthenticator",
                protocol=MARIONETTE_PROTOCOLS[protocol],
                transport="usb",
                hasResidentKey=False,
                hasUserVerification=uv is not None,
                isUserConsenting=touch,
                isUserVerified=bool(uv),
            )
        )
        self._ids.append(key)
        return key

    def remove(self, key: str) -> None:
        self._ids.remove(key)
        self._command("WebAuthn:RemoveVirtualAuthenticator", authenticatorId=key)

    def set_uv(self, key: str, ok: bool) -> None:
        self._command("WebAuthn:SetUserVerified", authenticatorId=key, isUserVerified=ok)

    def stored(self, key: str) -> list[StoredKey]:
        return [
            StoredKey(
                id=_decoded(one["credentialId"]),
                private_key=_decoded(one["privateKey"]),
                rp_id=one["rpId"],
                counter=one["signCount"],
                user_handle=_decoded(one["userHandle"]) or None,
                resident=one["isResidentCredential"],
            )
            for one in self._command("WebAuthn:GetCredentials", authenticatorId=key)
            if one["rpId"] != "make.me.blink"  # what Firefox asks of a U2F key so that it blinks
        ]

    def load(self, key: str, credential: StoredKey) -> None:
        written: dict[str, Any] = {
            "credentialId": _encoded(credential.id),
            "privateKey": _encoded(credential.private_key),
            "rpId": credential.rp_id,
            "signCount": credential.counter,
            "isResidentCredential": credential.resident,
        }
        if credential.user_handle:
            written["userHandle"] = _encoded(credential.user_handle)
        self._command("WebAuthn:AddCredential", authenticatorId=key, credentials=written)

    def clear(self) -> None:
        for key in list(self._ids):
            self.remove(key)

    def close(self) -> None:
        """Let go of the connection; Firefox serves one at a time."""
        self._answers.close()
        self._socket.close()

    def _command(self, name: str, **parameters: Any) -> Any:
        self._asked += 1
        message = json.dumps([0, self._asked, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        if error:
            raise RuntimeError(f"{error['error']}: {error['message']}")
        return result["value"] if isinstance(result, dict) and set(result) == {"value"} else result

    def _receive(self) -> Any:
        length = b""
        while (digit := self._answers.read(1)) != b":":
            if not digit:
                raise EOFError("Marionette closed the connection")
            length += digit
        return json.loads(self._answers.read(int(length)))


def look(name: BrowserName, options: Mapping[str, Any]) -> dict[str, Preference]:
    """The preferences of a browser that has to be started for these options of a context; none where a context takes them."""
    if name == "chromium":
        return {}
    return {
        pref: value
        for (option, wanted), prefs in FIREFOX_LOOKS.items()
        if options.get(option) == wanted
        for pref, value in prefs.items()
    }


@contextlib.contextmanager
def launch(
    playwright: Playwright, name: BrowserName, prefs: Mapping[str, Preference] = MappingProxyType({})
) -> Iterator[tuple[Browser, MakeKeys]]:
    """A running browser, and what gives the virtual keys of one of its pages. `prefs` are for Firefox."""
    if name == "chromium":
        with contextlib.closing(playwright.chromium.launch(**_chromium())) as browser:
            yield browser, ChromiumKeys
        return
    port = free_port()
    browser = playwright.firefox.launch(**_firefox(port, prefs))
    # The browser goes first: left alone by its Marionette client, Firefox takes half a minute to end.
    with contextlib.closing(FirefoxKeys(port)) as keys, contextlib.closing(browser):
        yield browser, lambda page: keys


@contextlib.contextmanager
def launch_behind(
    playwright: Playwright, name: BrowserName, proxy: int, spki: str, folder: Path
) -> Iterator[tuple[BrowserContext, MakeKeys]]:
    """One profile of a browser that reaches everything through the proxy on this port, and takes certificates of this key.

    It takes them also for what no page asks for, such as the file of another domain. Firefox does so for a whole profile only.
    """
    if name == "chromium":
        flags = [f"--proxy-server=127.0.0.1:{proxy}", f"--ignore-certificate-errors-spki-list={spki}"]
        with contextlib.closing(playwright.chromium.launch(**_chromium(*flags))) as browser:
            yield browser.new_context(), ChromiumKeys
        return
    port = free_port()
    options = _firefox(port, {"network.proxy.ssl_port": proxy})
    context = playwright.firefox.launch_persistent_context(folder, ignore_https_errors=True, **options)
    with contextlib.closing(FirefoxKeys(port)) as keys, contextlib.closing(context):
        yield context, lambda page: keys


def _chromium(*flags: str) -> dict[str, Any]:
    return {"executable_path": PROGRAMS["chromium"], "headless": True, "args": [*CHROMIUM_FLAGS, *flags]}


def _firefox(marionette: int, prefs: Mapping[str, Preference] = MappingProxyType({})) -> dict[str, Any]:
    return {
        "channel": "moz-firefox",
        "executable_path": PROGRAMS["firefox"],
        "headless": True,
        "args": ["--marionette"],
        "firefox_user_prefs": {**FIREFOX_PREFS, **prefs, "marionette.port": marionette},
        "env": {**os.environ, "MOZ_REMOTE_SETTINGS_DEVTOOLS": "1"},
    }


def _connected(port: int) -> socket.socket:
    """Marionette listens a moment after the browser is up."""
    ends = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 30)
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
