"""What Lighthouse gives every page, on a computer and on a phone. Performance and accessibility have to be 0.98 at least.

    npm install --prefix /tmp/lighthouse lighthouse
    LIGHTHOUSE=/tmp/lighthouse/node_modules/.bin/lighthouse python bench/lighthouse.py [PART OF A NAME ...]

About 25 minutes for all of them. The command is found through LIGHTHOUSE or the PATH, Chromium through CHROME_PATH or the PATH.
Each page is measured with the presets as they come: a slow phone on a slow network, and a desktop. Where a score is too low, the
median of three runs counts, because other programs on the machine cost points.

Lighthouse only asks with GET. What the site answers to a form, or puts into a page that is open, it gets from a door beside the
site: that holds the very answer, gives it as late as the site did, and passes everything else through.
"""

import gzip
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.site import Person, Site, serving
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

LEAST = 0.98
MUST = ("performance", "accessibility")
CATEGORIES = (*MUST, "best-practices", "seo")
PRESETS: dict[str, tuple[str, ...]] = {"desktop": ("--preset=desktop",), "phone": ()}
PATIENCE = 180
INTERNET_EXPLORER = "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko"
AS_AFTER_A_SWAP = "document.body.dispatchEvent(new CustomEvent('htmx:after:process', {bubbles: true}));"
PASSED_ON = ("cookie", "user-agent", "accept-encoding", "hx-request")

Scores = dict[str, float]


class Shown(NamedTuple):
    """Where a page is to be had, and as whom."""

    url: str
    cookie: str = ""
    agent: str = ""


# the door


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, as it goes out again."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    seconds: float = 0.0


class Door(ThreadingHTTPServer):
    """Gives the answers that were put up, each under its own address, and for every other address what the site gives."""

    daemon_threads = True

    def __init__(self, site: Site) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.site, self.answers = site, dict[str, Answer]()
        self.url = f"http://localhost:{self.server_port}"

    def put_up(self, path: str, answer: Answer) -> str:
        """The address at which this answer is to be had."""
        self.answers[path] = answer
        return self.url + path

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that is ended leaves its connections open; everything else is a fault."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def fetch(self, path: str, headers: dict[str, str]) -> Answer:
        """What the site gives."""
        connection = http.client.HTTPConnection(self.site.url.removeprefix("http://"), timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            got = connection.getresponse()
            return Answer(got.status, got.getheaders(), got.read())
        finally:
            connection.close()


class Passing(BaseHTTPRequestHandler):
    """One connection to the door."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written one after the other
    server: Door

    def do_GET(self) -> None:
        wanted = {name: value for name, value in self.headers.items() if name.lower() in PASSED_ON}
        answer = self.server.answers.get(self.path.partition("?ticket=")[0]) or self.server.fetch(self.path, wanted)
        time.sleep(answer.seconds)
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in ("content-length", "connection", "set-cookie"):
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def opened(site: Site) -> Iterator[Door]:
    """The door, until the block is left."""
    with Door(site) as door:
        serving_it = threading.Thread(target=door.serve_forever)
        serving_it.start()
        try:
            yield door
        finally:
            door.shutdown()
            serving_it.join()


def packed(response: httpx2.Response, text: str) -> Answer:
    """This text in place of what came, packed as the site packs it."""
    headers = [(name, value) for name, value in response.headers.items() if name != "content-encoding"]
    body = gzip.compress(text.encode(), 5)
    return Answer(response.status_code, [*headers, ("content-encoding", "gzip")], body, response.elapsed.total_seconds())


# the people


class Someone:
    """A person with an account, a key and a browser of their own. They are in the preview: the key is asked for."""

    def __init__(self, site: Site, door: Door) -> None:
        self.site, self.door, self.key = site, door, StubKey()
        self.person = site.person()
        client = httpx2.Client(base_url=site.url, timeout=PATIENCE)
        self.visitor = Visitor(client, mailbox=site.mailbox, email=self.person.email)
        self.listed("on")

    # ways

    def listed(self, how: str) -> None:
        self.site.keystead("account", "preview", self.person.username, how)

    def inside(self) -> "Someone":
        """Logged on."""
        self.visitor.log_on(self.person.username, self.person.password)
        return self

    def proven(self) -> "Someone":
        """Logged on, and shown by a code that it is them."""
        self.inside().visitor.send_code()
        self.visitor.verify(self.site.code(self.person))
        return self

    def bound(self, *more: str) -> "Someone":
        """Logged on, with a key bound just now, which is a proof; and with more of them."""
        self.inside().visitor.bind(self.key, "Blue")
        for name in more:
            self.visitor.bind(StubKey(), name)
        return self

    def half(self) -> "Someone":
        """The password was given, the key is owed."""
        self.bound().visitor.log_off()
        return self.inside()

    def unproven(self) -> "Someone":
        """Logged on, with a key, and without a proof."""
        self.bound().visitor.log_off()
        self.listed("off")
        self.inside().listed("on")
        return self

    # steps

    def wrong_password(self) -> httpx2.Response:
        return self.visitor.submit_password(self.person.username, "wrong")

    def submit(self, path: str, ending: str, **fields: str) -> httpx2.Response:
        """Send the form of this page whose action ends like this."""
        self.visitor.get(path)
        return self.visitor.submit(ending, **fields)

    def panel(self, path: str) -> httpx2.Response:
        """What htmx gets."""
        return self.visitor.client.get(path, headers={"hx-request": "true"})

    @property
    def unbinding(self) -> str:
        return f"{U2F}/keys/{self.key.slug}/unbind"

    @property
    def mislaying(self) -> str:
        return f"{U2F}/keys/{self.key.slug}/mislaid"

    # places

    def at(self, path: str) -> Shown:
        return Shown(self.site.url + path, self.visitor.cookie)

    def linked(self, path: str) -> Shown:
        """The page behind a mailed link."""
        return self.at(self.site.link(self.person, path).removeprefix(self.site.url))

    def told(self, response: httpx2.Response) -> Shown:
        """What the site answered to a form."""
        return self._behind_the_door(response.request.url.path, packed(response, response.text))

    def dialog(self, panel: httpx2.Response) -> Shown:
        """The Security Settings, with this panel brought into them."""
        page = self.visitor.get("/account/security")
        room = '<div id="dialogs"></div>'
        assert page.text.count(room) == panel.text.count("<dialog ") == 1
        whole = page.text.replace(room, f'<div id="dialogs">{panel.text}</div>')
        self.door.put_up("/swapped.js", Answer(200, [("content-type", "text/javascript")], AS_AFTER_A_SWAP.encode()))
        whole = whole.replace("</head>", '<script defer src="/swapped.js"></script></head>')
        return self._behind_the_door("/account/security?dialog", packed(page, whole))

    def _behind_the_door(self, path: str, answer: Answer) -> Shown:
        return Shown(self.door.put_up(path, answer), self.visitor.cookie)


# the pages

REHEARSAL = "/account/recovery/rehearsal"


def forgotten(one: Someone) -> httpx2.Response:
    return one.submit("/logon/forgotten", "/logon/forgotten", username=one.person.username)


def reset(one: Someone) -> Shown:
    forgotten(one)
    return one.linked("/logon/reset")


def invited(one: Someone) -> Shown:
    stranger = Person("", f"new-{one.person.email}", "")
    one.site.keystead("account", "invite", stranger.email)
    return one.at(one.site.link(stranger, "/join/account").removeprefix(one.site.url))


def weak(one: Someone) -> httpx2.Response:
    return one.submit(invited(one).url, "/join/account", username="new", password="password1234")


def required(one: Someone) -> Someone:
    """A key is required of them, in two weeks."""
    one.site.keystead("account", "groups", one.person.username, "staff")
    return one.inside()


def frozen(one: Someone) -> httpx2.Response:
    link = one.bound().linked("/not-me").url
    return one.submit(link, "/not-me")


def logon_frozen(one: Someone) -> Shown:
    frozen(one)
    return one.told(one.visitor.submit_password(one.person.username, one.person.password))


def often(one: Someone) -> Shown:
    while (answer := one.wrong_password()).status_code != 429:
        assert answer.status_code == 401
    return one.told(answer)


def known_asked(one: Someone) -> httpx2.Response:
    often(one)
    return one.visitor.submit("/logon/known/ask")


def known(one: Someone) -> Shown:
    known_asked(one)
    return one.linked("/logon/known")


def waiting(one: Someone) -> Shown:
    one.half().submit("/logon/wait", "/logon/wait")
    return one.at("/logon/wait")


def calling(one: Someone) -> Shown:
    one.half().submit("/logon/help", "/logon/help")
    return one.at("/logon/help")


def was_this_you(one: Someone) -> Shown:
    """A key was bound."""
    return one.bound().at("/account/activity/2")


def suspended(one: Someone) -> Shown:
    """One of two keys, after a mail was answered with *This was not me*."""
    link = one.bound("Red").linked("/not-me").url
    one.submit(link, "/not-me")
    one.site.keystead("key", "reinstate", one.person.username, one.key.slug)
    one.site.keystead("account", "unfreeze", one.person.username)
    one.visitor.log_on(one.person.username, one.person.password, one.key)
    return one.at("/account/security")


def code_sent(one: Someone) -> Shown:
    one.inside().visitor.send_code()
    return one.at(U2F)


def code_wrong(one: Someone) -> Shown:
    one.inside().visitor.send_code()
    return one.told(one.submit(U2F, "/u2f/verify", code="0000000"))


def email_sent(one: Someone) -> Shown:
    one.bound().submit("/account/email", "/account/email", email="somebody.else@example.com")
    return one.at("/account/email")


def cancelled(one: Someone, begin: Callable[[Someone], httpx2.Response]) -> Shown:
    begin(one)
    return one.told(one.visitor.finish(one.key, cancel=True))


def logon_touch(one: Someone) -> httpx2.Response:
    return one.half().visitor.begin_key()


def prove_touch(one: Someone) -> httpx2.Response:
    return one.unproven().visitor.begin_prove()


def bind_touch(one: Someone) -> httpx2.Response:
    return one.proven().visitor.begin_bind("Blue")


def recovery_codes(one: Someone) -> httpx2.Response:
    return one.bound().submit("/account/recovery", "/account/recovery")


def other_recovery_codes(one: Someone) -> httpx2.Response:
    recovery_codes(one)
    return one.submit("/account/recovery", "/account/recovery")


def rehearsed(one: Someone) -> httpx2.Response:
    code = re.findall(r"<code>(.*?)</code>", recovery_codes(one).text)[0]
    return one.submit(REHEARSAL, "/rehearsal", code=code)


def not_asked_yet(one: Someone) -> Shown:
    one.bound().listed("off")
    return one.at("/account/security")


def unnamed(one: Someone) -> httpx2.Response:
    return one.bound().submit(f"/account/security?rename={one.key.slug}", f"/keys/{one.key.slug}/name", name=" ")


def mislaid(one: Someone) -> Shown:
    one.bound().submit(one.mislaying, "/mislaid")
    return one.at("/account/security")


def unbind_touch(one: Someone) -> Shown:
    one.unproven().visitor.get(one.unbinding)
    one.visitor.htmx = True
    return one.dialog(one.visitor.submit("/prove/begin"))


def wrong_recovery_code(one: Someone) -> httpx2.Response:
    recovery_codes(one)
    one.visitor.log_off()
    one.visitor.submit_password(one.person.username, one.person.password)
    return one.submit("/logon/recovery", "/logon/recovery", code="wrong")


def wrong_old_password(one: Someone) -> httpx2.Response:
    return one.bound().submit("/account/password", "/account/password", old="wrong", new="wrong too")


def from_elsewhere(one: Someone) -> httpx2.Response:
    return one.visitor.client.post("/logon", headers={"origin": "https://elsewhere.example"})


class Way(NamedTuple):
    """The way into an application that stands behind the door, where it says nothing: so the page that leads there stays."""

    one: Someone
    address: str

    def asked(self) -> httpx2.Response:
        """As after the logon, which is a form."""
        return self.one.visitor.client.get(self.address, headers={"sec-fetch-site": "same-origin"})

    def touched(self) -> httpx2.Response:
        self.one.visitor.get(self.address)
        return self.one.visitor.submit("/apps/touch/begin")


def app(one: Someone, *wishes: str) -> Way:
    """A new application."""
    name = one.person.username.removeprefix("person-")
    origin = f"http://{name}.localhost:{one.door.server_port}"
    one.site.keystead("app", "add", name, origin, "--title", "The wiki", *wishes)
    one.door.put_up("/.keystead/end", Answer(204, [], b""))
    return Way(one, f"/apps/enter?to={origin}/&nonce={'0' * 64}")


BIND_DIALOG = f"{U2F}/dialog"
PAGES: dict[str, Callable[[Someone], Shown]] = {
    "logon": lambda one: one.at("/logon"),
    "logon, after logging off": lambda one: one.at("/logon?notice=off"),
    "logon, wrong password": lambda one: one.told(one.wrong_password()),
    "logon, account is frozen": logon_frozen,
    "logon, too often": often,
    "known browser, mail sent": lambda one: one.told(known_asked(one)),
    "known browser": known,
    "key step": lambda one: one.half().at("/logon/key"),
    "key step, touch": lambda one: one.told(logon_touch(one)),
    "key step, cancelled": lambda one: cancelled(one, logon_touch),
    "recovery step, no codes": lambda one: one.half().at("/logon/recovery"),
    "recovery step, wrong code": lambda one: one.told(wrong_recovery_code(one)),
    "help desk": lambda one: one.half().at("/logon/help"),
    "help desk, a number": calling,
    "was this you?": was_this_you,
    "wait": lambda one: one.half().at("/logon/wait"),
    "wait, begun": waiting,
    "forgotten": lambda one: one.at("/logon/forgotten"),
    "forgotten, mail sent": lambda one: one.told(forgotten(one)),
    "reset": reset,
    "reset, link is over": lambda one: one.at("/logon/reset?token=old"),
    "join": lambda one: one.at("/join"),
    "join, mail sent": lambda one: one.told(one.submit("/join", "/join", email=f"asks-{one.person.email}")),
    "join, invited": invited,
    "join, a weak password": lambda one: one.told(weak(one)),
    "join, invitation is over": lambda one: one.at("/join/account?token=old"),
    "account, a key is required": lambda one: required(one).at("/account"),
    "applications": lambda one: app(one.bound()).one.at("/account/apps"),
    "application, logon": lambda one: one.at(f"/logon?next={quote(app(one).address)}"),
    "application, code": lambda one: one.told(one.visitor.follow(app(one.inside(), "--fresh", "15m").asked())),
    "application, needs a key": lambda one: one.told(app(one.inside(), "--key", "required").asked()),
    "application, touch": lambda one: one.told(app(one.unproven(), "--key", "required").asked()),
    "application, touch now": lambda one: one.told(app(one.unproven(), "--key", "required").touched()),
    "application, opens": lambda one: one.told(app(one.bound()).asked()),
    "not me": lambda one: one.bound().linked("/not-me"),
    "not me, frozen": lambda one: one.told(frozen(one)),
    "account, no key": lambda one: one.inside().at("/account"),
    "account, a key": lambda one: one.bound().at("/account"),
    "sessions": lambda one: one.bound().at("/account/sessions"),
    "activity": lambda one: one.bound().at("/account/activity"),
    "password": lambda one: one.bound().at("/account/password"),
    "password, wrong": lambda one: one.told(wrong_old_password(one)),
    "email": lambda one: one.bound().at("/account/email"),
    "email, code sent": email_sent,
    "recovery, no key": lambda one: one.inside().at("/account/recovery"),
    "recovery": lambda one: one.bound().at("/account/recovery"),
    "recovery, the codes": lambda one: one.told(recovery_codes(one)),
    "recovery, other codes": lambda one: one.told(other_recovery_codes(one)),
    "rehearsal, no codes": lambda one: one.bound().at(REHEARSAL),
    "rehearsal, passed": lambda one: one.told(rehearsed(one)),
    "security, no key": lambda one: one.inside().at("/account/security"),
    "security, a key": lambda one: one.bound().at("/account/security"),
    "security, not asked yet": not_asked_yet,
    "security, three keys": lambda one: one.bound("W" * 64, "The old one in the drawer").at("/account/security"),
    "security, a suspended key": suspended,
    "security, a mislaid key": mislaid,
    "security, which key?": lambda one: one.bound().at(f"{U2F}/try"),
    "security, another name": lambda one: one.bound().at(f"/account/security?rename={one.key.slug}"),
    "mislaid?": lambda one: one.bound().at(one.mislaying),
    "security, no name given": lambda one: one.told(unnamed(one)),
    "bind: code not sent": lambda one: one.inside().at(U2F),
    "bind: code sent": code_sent,
    "bind: wrong code": code_wrong,
    "bind: another key first": lambda one: one.unproven().at(U2F),
    "bind: another key, touch": lambda one: one.told(prove_touch(one)),
    "bind: on the way to elsewhere": lambda one: one.inside().at(f"{U2F}?then=/account/password"),
    "bind: name the key": lambda one: one.proven().at(U2F),
    "bind: touch": lambda one: one.told(bind_touch(one)),
    "bind: cancelled": lambda one: cancelled(one, bind_touch),
    "bind: done": lambda one: one.bound().at(f"{U2F}/done"),
    "dialog: waiting": lambda one: one.inside().dialog(one.panel(BIND_DIALOG)),
    "dialog: not bound yet": lambda one: one.inside().dialog(one.panel(f"{BIND_DIALOG}?check=1")),
    "dialog: a problem": lambda one: one.inside().dialog(one.panel(f"{BIND_DIALOG}?help=1")),
    "dialog: bound": lambda one: one.bound().dialog(one.panel(f"{BIND_DIALOG}?since=0")),
    "dialog: unbind, proof first": lambda one: one.unproven().dialog(one.panel(one.unbinding)),
    "dialog: unbind, touch": unbind_touch,
    "dialog: unbind": lambda one: one.bound().dialog(one.panel(one.unbinding)),
    "bind dialog as a page": lambda one: one.inside().at(BIND_DIALOG),
    "unbind dialog as a page": lambda one: one.bound().at(one.unbinding),
    "no such page": lambda one: one.at("/nowhere"),
    "not from here": lambda one: one.told(from_elsewhere(one)),
    "browser too old": lambda one: one.at("/logon")._replace(agent=INTERNET_EXPLORER),
}


# the measurement


class NotMeasured(Exception):
    """Lighthouse gave no scores; the text is what it said."""


def command() -> str:
    found = os.environ.get("LIGHTHOUSE") or shutil.which("lighthouse")
    if not found:
        raise SystemExit("Lighthouse is not here: npm install lighthouse, and name the command in LIGHTHOUSE.")
    return found


def measure(shown: Shown, preset: str) -> tuple[Scores, list[str]]:
    """The scores of one run, and what costs points in those that count."""
    chromium = os.environ.get("CHROME_PATH") or shutil.which("chromium") or shutil.which("google-chrome") or ""
    environ = {**os.environ, "CHROME_PATH": chromium}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"  # what goes to a pipe is cut off when node ends
        asked = [*question(shown, preset), f"--output-path={report}"]
        try:
            done = subprocess.run(asked, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise NotMeasured(f"it took more than {PATIENCE} seconds") from None
        if not report.exists():
            raise NotMeasured(done.stderr.strip()[-500:])
        return read(json.loads(report.read_text()), shown)


def question(shown: Shown, preset: str) -> list[str]:
    """The command line. A page that refuses comes with 4xx, and is a page all the same."""
    asked = [command(), shown.url, "--output=json", "--quiet", "--ignore-status-code", "--no-enable-error-reporting"]
    asked += [f"--only-categories={','.join(CATEGORIES)}", "--chrome-flags=--headless=new --no-sandbox", *PRESETS[preset]]
    asked += [f"--extra-headers={json.dumps({'Cookie': shown.cookie})}"] if shown.cookie else []
    return asked + ([f"--emulated-user-agent={shown.agent}"] if shown.agent else [])


def read(report: dict[str, Any], shown: Shown) -> tuple[Scores, list[str]]:
    if failed := report.get("runtimeError"):
        raise NotMeasured(failed["message"])
    scores = {name: report["categories"][name]["score"] for name in CATEGORIES}
    if report["finalDisplayedUrl"] != shown.url:
        raise NotMeasured(f"it led to {report['finalDisplayedUrl']}")
    if None in scores.values():
        raise NotMeasured(f"no score: {scores}")
    return scores, [f"{name}: {words}" for name in MUST for words in costs(report, name)]


def costs(report: dict[str, Any], category: str) -> Iterator[str]:
    """Each audit that takes points from a category."""
    for part in report["categories"][category]["auditRefs"]:
        audit = report["audits"][part["id"]]
        if part["weight"] and audit["score"] is not None and audit["score"] < 0.9:
            where = [item["node"]["snippet"] for item in audit.get("details", {}).get("items", []) if "node" in item]
            yield " ".join([part["id"], audit.get("displayValue", ""), *where])


def patiently(shown: Shown, preset: str) -> tuple[Scores, list[str]]:
    """One run; Lighthouse sometimes loses the trace of its own browser, and does not the next time."""
    try:
        return measure(shown, preset)
    except NotMeasured:
        return measure(shown, preset)


def fair(shown: Shown, preset: str) -> tuple[Scores, list[str]]:
    """The scores; where one that counts is too low, the median of three runs, because the machine may have been busy."""
    first, wrong = patiently(shown, preset)
    if enough(first):
        return first, []
    runs = [first, *(patiently(shown, preset)[0] for _ in range(2))]
    return {name: statistics.median(run[name] for run in runs) for name in CATEGORIES}, wrong


def enough(scores: Scores) -> bool:
    return all(scores[name] >= LEAST for name in MUST)


def line(shown: Shown, preset: str) -> Scores | None:
    """The scores of a page, printed; None if there are none."""
    try:
        scores, wrong = fair(shown, preset)
    except NotMeasured as not_measured:
        print(f"   NOT MEASURED: {not_measured}")
        return None
    print("".join(f"{scores[name]:>15.2f}" for name in CATEGORIES), "" if enough(scores) else "  TOO LOW", flush=True)
    print("".join(f"      {words}\n" for words in wrong), end="")
    return scores


def table(pages: dict[str, Callable[[Someone], Shown]]) -> Iterator[Scores | None]:
    """Every line of it: all pages, on every kind of machine."""
    print(f"{'':<44}{''.join(f'{name:>15}' for name in CATEGORIES)}")
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(
            Path(folder),
            KEYSTEAD_PREVIEW="listed",
            KEYSTEAD_WAIT="72h",
            KEYSTEAD_JOIN="example.com",
            KEYSTEAD_KEY_REQUIRED="staff",
        ) as site,
        opened(site) as door,
    ):
        for name, reach in pages.items():
            shown = reach(Someone(site, door))
            for preset in PRESETS:
                print(f"{name:<34}{preset:<10}", end="", flush=True)
                yield line(shown, preset)


def main(wanted: list[str]) -> bool:
    """Whether every page has what it must have."""
    lines = list(table({name: reach for name, reach in PAGES.items() if not wanted or any(part in name for part in wanted)}))
    measured = [scores for scores in lines if scores]
    assert lines, f"no page is called so; these are: {list(PAGES)}"
    least = {category: min((scores[category] for scores in measured), default=0) for category in MUST}
    short = len(lines) - sum(map(enough, measured))
    print(f"{len(lines)} lines, {short} short; {', '.join(f'{name} {score:.2f} at least' for name, score in least.items())}")
    return short == 0


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
