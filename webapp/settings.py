"""What the deployer decides, read from the environment once and frozen. Names every missing or wrong variable at once.

`KEYSTEAD_PUBLIC_URL` is the only source of origin, relying-party id and links; the Host header never is. A secret never
appears in a message or in a repr.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import getaddresses
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, TypeVar, cast
from urllib.parse import SplitResult, quote, urlsplit

from webapp import branding, languages

Preview = Literal["everyone", "listed"] | int
KeyRequired = Literal["everyone"] | tuple[str, ...]
"""Groups of accounts, or everyone."""
Network = IPv4Network | IPv6Network
T = TypeVar("T")

PREFIX = "KEYSTEAD_"
SHORTEST_SECRET = 32
_WIDEST = {4: 8, 6: 7}
"""The shortest prefix of a network that one platform has to itself: 10.0.0.0/8, fc00::/7."""
_WEEK, _HALF_DAY = timedelta(days=7), timedelta(hours=12)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
ADDRESS = re.compile(r"[^@\s<>(),;:\"\[\]\\]{1,64}@[^@\s<>(),;:\"\[\]\\]{1,255}")
GROUP = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
NO_GROUPS = ("everyone", "nobody")
"""Words that stand in the place of groups."""
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
HOW_TO_MAKE_ONE = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'


@dataclass(frozen=True, slots=True)
class Help:
    """Where people get help from somebody who runs the site: as a link, and as they read it."""

    href: str
    text: str


class SettingsError(Exception):
    """The environment does not make a deployment. The text names every variable at fault and how to mend it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        lines = [f"  {name}\n      {text}" for name, text in self.problems.items()]
        super().__init__("\n".join(["Keystead cannot start with these settings (environment variables):", *lines]))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field for each variable of `TABLE`, named like it, in lower case and without `KEYSTEAD_`."""

    public_url: str
    secret_keys: tuple[str, ...] = field(repr=False)
    backend: str = field(repr=False)
    mail: str = field(repr=False)
    mail_from: str
    moved_from: tuple[str, ...] = ()
    retired_keys: tuple[str, ...] = field(default=(), repr=False)
    name: str = "Keystead"
    language: str = "en"
    help: Help | None = None
    terms: str = ""
    privacy: str = ""
    logo: branding.Made | None = None
    accent: str = ""
    preview: Preview = "everyone"
    join: tuple[str, ...] = ()
    key_required: KeyRequired = ()
    key_grace: timedelta = timedelta(days=14)
    phones: Literal["refused", "allowed"] = "refused"
    trusted_proxies: tuple[Network, ...] = ()
    attestation: Literal["none", "direct"] = "none"
    logs: Literal["text", "json"] = "text"
    metrics: str = field(default="", repr=False)
    session_lifetime: timedelta = _WEEK
    session_idle: timedelta = _HALF_DAY
    wait: timedelta | None = None
    helpdesk_wait: timedelta = timedelta(hours=24)
    events_kept: timedelta | None = None
    web_concurrency: int = 1
    listen: str = ""
    port: int = 8000

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """The settings in this environment; SettingsError names all that is missing or wrong."""
        values, problems = {}, {}
        for setting in TABLE:
            try:
                values[setting.field] = setting.parse(_text(setting, environ))
            except ValueError as wrong:
                problems[setting.variable] = str(wrong)
        if problems:
            raise SettingsError(problems)
        return cls(**values)  # type: ignore[arg-type]  # TABLE has one parser for each field; a test compares the two

    @cached_property
    def sealing_keys(self) -> tuple[str, ...]:
        """Every secret that an event or an account may be sealed with; the first seals."""
        return (*self.secret_keys, *self.retired_keys)

    @cached_property
    def origin(self) -> str:
        """What a browser calls the origin of our pages: scheme, host, and a port only where it is not the usual one."""
        return self.public_url.removesuffix(self.prefix)

    @cached_property
    def rp_id(self) -> str:
        """The relying-party id that keys are bound to: the host of our address."""
        return urlsplit(self.public_url).hostname or ""

    @cached_property
    def rp_ids(self) -> tuple[str, ...]:
        """The domains whose keys are taken here: ours, then those that we moved from."""
        return tuple(dict.fromkeys((self.rp_id, *self.moved_from)))

    def left_behind(self, rp_ids: Iterable[str]) -> str:
        """What is wrong if keys are bound to these domains; empty if nothing is."""
        others = [id for id in rp_ids if id not in self.rp_ids]
        if not others:
            return ""
        domains = " and ".join(others)
        return (
            f"Keys are bound to {domains}, and browsers would not use them at {self.rp_id}: their owners would be locked out. "
            f"Set the address back to the one at {domains}. If the move is meant, read docs/moving-domain.md, "
            f"and then set KEYSTEAD_MOVED_FROM={','.join(others)}."
        )

    @cached_property
    def prefix(self) -> str:
        """The path that we are mounted under, as in `/account-center`; empty at the root."""
        return urlsplit(self.public_url).path

    @cached_property
    def https(self) -> bool:
        """Whether people reach us over TLS."""
        return self.public_url.startswith("https:")

    @cached_property
    def made(self) -> dict[str, branding.Made]:
        """What is served beside the files that we ship, by its name among them."""
        style = {"brand.css": branding.style(self.accent)} if self.accent else {}
        return style | ({"logo": self.logo} if self.logo else {})

    @property
    def local(self) -> bool:
        """Whether only this machine can reach us, because it is for a look or for tests."""
        return _local(self.rp_id)


class Setting(NamedTuple):
    """One row of the table of settings. `default` is None where the deployer must decide."""

    variable: str
    parse: Callable[[str], object]
    default: str | None
    example: str
    meaning: str

    @property
    def field(self) -> str:
        return self.variable.removeprefix(PREFIX).lower()


def _text(setting: Setting, environ: Mapping[str, str]) -> str:
    text = unquoted(environ.get(setting.variable, ""))
    if text:
        return text
    if setting.default is not None:
        return setting.default
    raise ValueError(f"is not set.{_mistyped(setting.variable, environ)} {setting.meaning} For example: {setting.example}")


def unquoted(text: str) -> str:
    """As a shell reads it. `docker --env-file` and others leave the quotes of a file standing."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _mistyped(variable: str, environ: Mapping[str, str]) -> str:
    known = {setting.variable for setting in TABLE}
    others = [name for name in environ if name.upper().startswith(PREFIX) and name not in known]
    near = difflib.get_close_matches(variable, others, n=1, cutoff=0.8)
    return f" ({near[0]} is set: is that a slip of the pen?)" if near else ""


def _public_url(text: str) -> str:
    """The address in one spelling: lower case, punycode, no usual port, no slash at the end."""
    parts = _split(text)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("must begin with https:// (or with http://localhost, for a look at it).")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ValueError("must not contain a username or password.")
    if "?" in text or "#" in text:
        raise ValueError("must end with the path: no ? and no # in it.")
    host = _host(parts.hostname or "")
    if parts.scheme == "http" and not _local(host):
        raise ValueError(f"must be https: browsers offer security keys to https://{host} but not to http://{host}.")
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError("has a path that is not plain: use letters, digits, - . _ ~ between single slashes.")
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{path}"


def app_origin(text: str) -> str:
    """The origin of an app in one spelling, as a browser writes it. ValueError says what is wrong with it."""
    try:
        found = _public_url(text)
    except ValueError as wrong:
        raise ValueError(f"the address of an app {wrong}") from None
    if urlsplit(found).path:
        raise ValueError("the address of an app ends with its host, or port: an app has a host of its own, and no path.")
    return found


def _host(text: str) -> str:
    if not text:
        raise ValueError("names no host.")
    if _is_address(text):
        raise ValueError(
            f"must name a host, not the address {text}: browsers bind a security key to a domain. "
            "Use https://your.domain, or http://localhost:8000 for a look at it."
        )
    if not text.isascii():
        text = _punycode(text)
    if len(text) > 253 or not _HOST.fullmatch(text):
        raise ValueError("names a host that cannot be one: letters, digits and - between single dots.")
    return text


def _punycode(text: str) -> str:
    """As browsers write it (UTS 46), so that it equals the origin that they sign."""
    import idna  # its tables are large, and few hosts need them

    try:
        return idna.encode(text, uts46=True).decode()
    except idna.IDNAError as wrong:
        raise ValueError(f"names a host that cannot be one: {wrong}.") from None


def _domains(text: str) -> tuple[str, ...]:
    return tuple(_host(word.lower()) for word in re.split(r"[,\s]+", text) if word)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        # Browsers read 127.1 and 2130706433 as addresses too: a last label of digits is never a domain (URL Standard §3.5).
        return host.rpartition(".")[2].isdecimal()
    return True


def _local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _split(text: str) -> SplitResult:
    """The parts of an address. The text of a ValueError never repeats the address, which may hold a password."""
    if re.search(r"[\s\\\x00-\x1f\x7f]|%00", text):
        raise ValueError("must not contain blanks or backslashes, nor %00.")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is not an address: look at its [ ] and at its port, 1 to 65535.") from None
    if parts.port == 0:
        raise ValueError("has port 0; ports go from 1 to 65535.")
    return parts


def split_secrets(text: str) -> tuple[str, ...]:
    """The secrets of a variable, however good they are."""
    return tuple(key.strip() for key in unquoted(text).split(",") if key.strip())


def _retired_keys(text: str) -> tuple[str, ...]:
    return _secret_keys(text) if text else ()


def _secret_keys(text: str) -> tuple[str, ...]:
    keys = split_secrets(text)
    if not keys:
        raise ValueError(f"holds no secret. {HOW_TO_MAKE_ONE}")
    for number, key in enumerate(keys, 1):
        which = f"secret {number} of {len(keys)}" if len(keys) > 1 else "the secret"
        if len(key) < SHORTEST_SECRET:
            raise ValueError(f"{which} has {len(key)} characters; at least {SHORTEST_SECRET} are needed. {HOW_TO_MAKE_ONE}")
        if len(set(key)) < 10:
            raise ValueError(f"{which} repeats the same few characters, and could be guessed. {HOW_TO_MAKE_ONE}")
    return keys


def _backend(text: str) -> str:
    parts = _split(text)
    if not parts.scheme or "://" not in text:
        raise ValueError("must be an address such as file:///var/lib/keystead/keystead.db or mongodb://host/keystead.")
    if parts.scheme == "file" and (parts.netloc or not PurePosixPath(parts.path).name):
        raise ValueError("must name a file with three slashes and its whole path: file:///var/lib/keystead/keystead.db")
    return text


def _mail(text: str) -> str:
    parts = _split(text)
    if parts.scheme == "outbox":
        if parts.netloc or not parts.path.strip("/"):
            raise ValueError("must name a folder with three slashes and its whole path: outbox:///var/lib/keystead/outbox")
        return text
    if parts.scheme not in ("smtp", "smtps"):
        raise ValueError("must begin with smtp://, smtps:// or outbox:///")
    if not parts.hostname:
        raise ValueError("names no mail server: smtp://user:password@mail.example.com:587")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("must give both a username and a password, or neither.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            "must end after host and port. In a password write / as %2F, ? as %3F, # as %23, @ as %40, : as %3A, % as %25."
        )
    return text


def _mail_from(text: str) -> str:
    """An address with or without a name before it, as it can stand in a From line."""
    found = getaddresses([text])
    if len(found) != 1 or not ADDRESS.fullmatch(found[0][1]) or not text.isprintable():
        raise ValueError("must be one e-mail address: keystead@example.com, or Example <keystead@example.com>.")
    return text


def _name(text: str) -> str:
    if len(text) > 60 or not text.isprintable():
        raise ValueError(
            "must be at most 60 printable characters: it stands in titles, in mails and in the browser's own dialogs."
        )
    return text


def _language(text: str) -> str:
    found = next((code for code in languages.KNOWN if code.lower() == text.lower()), None)
    if found is None:
        raise ValueError(f"must be {' or '.join(languages.KNOWN)}: there are words in no other language.")
    return found


def _help(text: str) -> Help:
    """A page, or an e-mail address; never anything that a browser would run."""
    if len(text) > 200:
        raise ValueError("must have at most 200 characters: people read it, and may have to type it.")
    address = text.removeprefix("mailto:")
    if ADDRESS.fullmatch(address) and address.isprintable():
        return Help(f"mailto:{quote(address, safe='@')}", address)
    parts = _split(text)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc or not text.isprintable():
        raise ValueError("must be a page (https://help.example.com/keys) or an e-mail address (help@example.com).")
    return Help(text, text.removeprefix("https://"))


def _page(text: str) -> str:
    """The address of a page, or nothing; never anything that a browser would run."""
    if text and (_split(text).scheme not in _DEFAULT_PORTS or not _split(text).hostname or not text.isprintable()):
        raise ValueError("must be the address of a page, such as https://www.example.com/privacy.")
    return text


def _preview(text: str) -> Preview:
    if text in ("everyone", "listed"):
        return cast(Literal["everyone", "listed"], text)
    found = re.fullmatch(r"([0-9]{1,3}) ?%", text)
    if not found or int(found[1]) > 100:
        raise ValueError("must be everyone, listed, or a percentage from 0% to 100%, such as 25%.")
    return int(found[1])


def _join(text: str) -> tuple[str, ...]:
    """The mail domains whose people may invite themselves."""
    return () if text.lower() == "invited" else _domains(text)


def _key_required(text: str) -> KeyRequired:
    words = tuple(word.lower() for word in re.split(r"[,\s]+", text) if word)
    if words == ("everyone",):
        return "everyone"
    if words == ("nobody",):
        return ()
    if not words or not all(GROUP.fullmatch(word) and word not in NO_GROUPS for word in words):
        raise ValueError("must be nobody, everyone, or groups with commas between, such as admins,staff.")
    return words


def _grace(text: str) -> timedelta:
    return timedelta() if text == "none" else duration(text)


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be {' or '.join(words)}.")
        return text

    return parse


def _metrics(text: str) -> str:
    if text and len(text) < SHORTEST_SECRET:
        raise ValueError(f"has {len(text)} characters; a secret of at least {SHORTEST_SECRET} is needed. {HOW_TO_MAKE_ONE}")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"must be letters, digits and signs without blanks, as it stands in a header. {HOW_TO_MAKE_ONE}")
    return text


def _trusted_proxies(text: str) -> tuple[Network, ...]:
    return tuple(_network(word) for word in re.split(r"[,\s]+", text) if word)


def _network(text: str) -> Network:
    try:
        found = ip_network(text)
    except ValueError:
        pass
    else:
        if found.prefixlen < _WIDEST[found.version]:
            raise ValueError(
                f"must not trust {text}: whoever is in there can pretend to come from anywhere. Name the proxy's own."
            )
        return found
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"must list addresses or networks, such as 10.0.0.5, 10.1.0.0/16: {text[:60]!r} is neither.") from None
    raise ValueError(f"{text} is neither one address nor a whole network: did you mean {meant}?")


def duration(text: str) -> timedelta:
    """`30m`, `12h` or `7d`. ValueError says how it is written."""
    found = re.fullmatch(r"([1-9][0-9]{0,4}) ?([mhd])", text)
    if not found:
        raise ValueError("must be a number of minutes, hours or days, such as 30m, 12h or 7d.")
    return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[found[2]]: int(found[1])})


def _maybe(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda text: parse(text) if text else None


def _maybe_text(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: parse(text) if text else ""


def _wait(text: str) -> timedelta:
    """At least a day, so that the owner reads the mail; `72h` is what it is written as."""
    wait = duration(text)
    if wait < timedelta(days=1):
        raise ValueError("must be at least 24h: its owner has to read the mail about it, and touch a key.")
    return wait


def _helpdesk_wait(text: str) -> timedelta:
    wait = duration(text)
    if wait < timedelta(hours=1):
        raise ValueError("must be at least 1h: whoever owns the account has to read the mail about it, and touch a key.")
    return wait


def _web_concurrency(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) < 1:
        raise ValueError("must be a number of processes, such as 2: one for each core is usual.")
    return int(text)


def _listen(text: str) -> str:
    """An address of this machine, or `localhost`; empty where the deployer leaves it to us."""
    host = text.removeprefix("[").removesuffix("]")
    if not text or host == "localhost":
        return host
    try:
        return str(ip_address(host))
    except ValueError:
        raise ValueError("must be one address, such as 127.0.0.1, 0.0.0.0 (all) or ::; the port stands in PORT.") from None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError("must be a number from 1 to 65535.")
    return int(text)


TABLE = (
    Setting(
        "KEYSTEAD_PUBLIC_URL", _public_url, None, "https://account.example.com",
        "The address that people type: the only source of links, of the origin, and of the domain that keys are bound to. "
        "It may end with a path, as in `https://example.com/account-center`.",
    ),
    Setting(
        "KEYSTEAD_SECRET_KEYS", _secret_keys, None, "one secret, or several with commas between",
        f"Secrets of at least {SHORTEST_SECRET} characters. The first signs, all verify. `keystead secret` makes one. "
        "To change it: [Changing the secret](#changing-the-secret).",
    ),
    Setting(
        "KEYSTEAD_BACKEND", _backend, None, "file:///var/lib/keystead/keystead.db",
        "Where records live: `file:///…` (one machine), `mongodb://…` or `mongodb+srv://…` (any number), or a plug-in's address.",
    ),
    Setting(
        "KEYSTEAD_MAIL", _mail, None, "smtp://user:password@mail.example.com:587",
        "How mail leaves: `smtp://…` (STARTTLS), `smtps://…` (TLS from the start), or `outbox:///folder` (files, for tests).",
    ),
    Setting(
        "KEYSTEAD_MAIL_FROM", _mail_from, None, "Example <keystead@example.com>",
        "Who mails are from.",
    ),
    Setting(
        "KEYSTEAD_MOVED_FROM", _domains, "", "old.example.com",
        "Hosts of earlier public URLs, whose keys are taken here too, as long as each of them serves the file that "
        "`keystead moved-file` prints: [docs/moving-domain.md](docs/moving-domain.md).",
    ),
    Setting(
        "KEYSTEAD_RETIRED_KEYS", _retired_keys, "", "one secret, or several with commas between",
        "Secrets that were in `KEYSTEAD_SECRET_KEYS`. They open nothing any more, and only verify what was sealed with them.",
    ),
    Setting(
        "KEYSTEAD_NAME", _name, "Keystead", "Example",
        "What people see in titles and mails, and what their browser calls us when it asks for the key.",
    ),
    Setting(
        "KEYSTEAD_LANGUAGE", _language, "en", "zh-CN",
        "In what we speak to whoever has chosen nothing, and whose browser asks for no language that we have: "
        "`en` or `zh-CN`.",
    ),
    Setting(
        "KEYSTEAD_HELP", _maybe(_help), "", "https://help.example.com/keys",
        "Where people find whoever runs the site: a page, or an e-mail address. It stands on pages and in letters, wherever they "
        "are told to ask. Without it they are told to ask, and not where.",
    ),
    Setting(
        "KEYSTEAD_TERMS", _page, "", "https://www.example.com/terms",
        "The page with your terms. It is linked at the foot of each page and letter.",
    ),
    Setting(
        "KEYSTEAD_PRIVACY", _page, "", "https://www.example.com/privacy",
        "The page that says what becomes of people's data. It is linked at the foot of each page and letter.",
    ),
    Setting(
        "KEYSTEAD_LOGO", _maybe(branding.logo), "", "static/favicon.svg",
        "The file of your logo, an SVG or PNG of at most 64 kB, best square. It stands before the name, and in browsers' tabs.",
    ),
    Setting(
        "KEYSTEAD_ACCENT", _maybe_text(branding.accent), "", "#1f5fae",
        "Your colour, for buttons, links and letters, such as `#1f5fae`. One that is too pale to be read is refused; for dark "
        "pages it is made lighter.",
    ),
    Setting(
        "KEYSTEAD_PREVIEW", _preview, "everyone", "25%",
        "Who is asked for a bound key at logon: `everyone`, `listed` (accounts listed by `keystead account preview`), "
        "or those and a stable percentage of all, such as `25%`.",
    ),
    Setting(
        "KEYSTEAD_JOIN", _join, "invited", "example.com",
        "Who may join: `invited` (by `keystead account invite`), or a mail domain, such as `example.com`, whose people may also "
        "invite themselves, to their addresses there.",
    ),
    Setting(
        "KEYSTEAD_KEY_REQUIRED", _key_required, "nobody", "admins,staff",
        "Who must bind a key: `nobody`, `everyone`, or groups of accounts (`keystead account groups`), such as `admins,staff`. "
        "They are also asked for it at logon, whatever the preview.",
    ),
    Setting(
        "KEYSTEAD_KEY_GRACE", _grace, "14d", "14d",
        "How long an account of which a key is required may be used without, from its first use on: minutes, hours or days, or "
        "`none`. Its pages say until when; then it gets nowhere but to the page where a key is bound.",
    ),
    Setting(
        "KEYSTEAD_PHONES", _one_of("refused", "allowed"), "refused", "allowed",
        "Whether phones and tablets are offered the key step, or told that the key is used on a PC: `refused` or `allowed`.",
    ),
    Setting(
        "KEYSTEAD_TRUSTED_PROXIES", _trusted_proxies, "", "10.0.0.0/8",
        "Addresses or networks of proxies whose word about a visitor's address counts, and which get answers about "
        "[applications](docs/apps.md). None by default.",
    ),
    Setting(
        "KEYSTEAD_ATTESTATION", _one_of("none", "direct"), "none", "direct",
        "Whether keys are asked who made them: `none` or `direct`.",
    ),
    Setting(
        "KEYSTEAD_LOGS", _one_of("text", "json"), "text", "json",
        "How log lines look: `text` for people, `json` for machines. They go to standard error.",
    ),
    Setting(
        "KEYSTEAD_METRICS", _metrics, "", "one secret, and none of KEYSTEAD_SECRET_KEYS",
        "The secret with which Prometheus may read `/metrics` (`Authorization: Bearer …`). Without one there is no such page, "
        "and nothing is counted.",
    ),
    Setting(
        "KEYSTEAD_SESSION_LIFETIME", duration, "7d", "30d",
        "How long somebody stays logged on at the most: minutes, hours or days, such as `30m`, `12h` or `7d`.",
    ),
    Setting(
        "KEYSTEAD_SESSION_IDLE", duration, "12h", "30m",
        "How long somebody stays logged on without doing anything.",
    ),
    Setting(
        "KEYSTEAD_WAIT", _maybe(_wait), "", "72h",
        "After how long an account opens by its password alone for somebody who has neither key nor recovery code, unless one of "
        "its keys is touched before. Told by mail at once and each day. Not at all by default: then the help desk decides.",
    ),
    Setting(
        "KEYSTEAD_HELPDESK_WAIT", _helpdesk_wait, "24h", "48h",
        "After how long a pass of the help desk (`keystead helpdesk NUMBER --pass`) lets one browser log on without the key, "
        "once. It is mailed at once, and one touch of a key stops it. At least `1h`.",
    ),
    Setting(
        "KEYSTEAD_EVENTS_KEPT", _maybe(duration), "", "365d",
        "How long events are kept, where `keystead events expire` is run: days, such as `365d`. All of them by default.",
    ),
    Setting(
        "WEB_CONCURRENCY", _web_concurrency, "1", "2",
        "How many processes serve.",
    ),
    Setting(
        "KEYSTEAD_LISTEN", _listen, "", "0.0.0.0",  # noqa: S104  (an example)
        "The address to listen on. Without it 127.0.0.1, for a proxy on this machine; or all addresses where `PORT` is set, as "
        "platforms do.",
    ),
    Setting(
        "PORT", _port, "8000", "8000",
        "The port to listen on.",
    ),
)  # fmt: skip
"""Every setting there is, in the order of the README's table."""


def markdown() -> str:
    """The README's table of settings."""
    rows = ["| Variable | Default | What it decides |", "|---|---|---|"]
    for setting in TABLE:
        default = "**must be set**" if setting.default is None else f"`{setting.default}`" if setting.default else ""
        rows.append(f"| `{setting.variable}` | {default} | {setting.meaning} |")
    return "\n".join(rows) + "\n"
