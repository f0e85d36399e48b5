"""A visitor: walks Keystead's HTTP contract as a browser would, and reads what to send from the pages that come.

Whatever the pages stop offering, the visitor cannot do: it breaks when the contract breaks. Every step returns the response to
the request that it made, so that tests can look at it; the four big ones (`log_on`, `log_on_with`, `bind`, `unbind`) go all the
way and raise Unexpected when something stands in it. Works in process and against a running server alike.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from threading import Barrier, Thread
from typing import TypeVar, Unpack
from urllib.parse import urljoin, urlsplit

import httpx2

from webapp.testing.mailbox import Mailbox
from webapp.testing.page import Form, Page
from webapp.testing.stub_key import DOMException, Faults, StubKey

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
U2F = "/account/security/u2f"
PAGE = {"accept": "text/html,application/xhtml+xml"}
"""How a browser asks for a page. A script does not: `client` asks as one."""

T = TypeVar("T")


class Unexpected(AssertionError):
    """The site did something else than this walk needs; `response` is what came."""

    def __init__(self, what: str, response: httpx2.Response) -> None:
        self.response = response
        said = Page.read(response.text)
        words = " / ".join(said.said) or said.text[:300]
        super().__init__(f"{what}: {response.request.method} {response.request.url.path} gave {response.status_code}: {words}")


class Visitor:
    """A person at a browser.

    `client` is an httpx2 client, or Starlette's TestClient, whose base URL is the site's origin. `mailbox` is where the codes
    arrive; `email` says which of them are this person's. With `htmx`, forms are sent as htmx sends them.
    """

    def __init__(
        self,
        client: httpx2.Client,
        *,
        mailbox: Mailbox | None = None,
        email: str | None = None,
        htmx: bool = False,
        prefix: str = "",
    ) -> None:
        self.client, self.mailbox, self.email, self.htmx, self.prefix = client, mailbox, email, htmx, prefix
        self.client.follow_redirects = False
        self.client.headers["user-agent"] = CHROME
        self.origin = str(client.base_url.copy_with(path="/")).rstrip("/")
        self._html = ""
        self._at = self.origin
        """Where the newest page or panel came from."""

    @cached_property
    def page(self) -> Page:
        """The newest page or panel, read when somebody looks at it: many only lead on."""
        return Page.read(self._html)

    @property
    def cookie(self) -> str:
        """The Cookie header that this browser sends to whatever stands beside Keystead at the same host."""
        return "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())

    # the whole way

    def log_on(self, username: str, password: str, key: StubKey | None = None) -> httpx2.Response:
        """Log on, with the key if one is asked for and given; the page where that leads. Without one it may be the key step."""
        response = self.follow(self.submit_password(username, password))
        if response.status_code != 200:
            raise Unexpected("not logged on", response)
        return self.log_on_with(key) if key and self.page.form("/logon/key/begin") else response

    def log_on_with(self, key: StubKey, **faults: Unpack[Faults]) -> httpx2.Response:
        """The key step, for somebody who has given the password; the page where that leads, which may be an application's."""
        self._expect("the key is not asked for", self.begin_key())
        response = self.follow(self.finish_key(key, **faults))
        if self._is_here(response) and (response.status_code != 200 or not self.page.form("/logoff")):
            raise Unexpected("not logged on with the key", response)
        return response

    def open(self, url: str) -> httpx2.Response:
        """A page of an application behind Keystead, or of Keystead: the page to which opening it leads."""
        return self.follow(self._read(self.client.get(url, headers=PAGE)))

    def touch_for_app(self, key: StubKey, **faults: Unpack[Faults]) -> httpx2.Response:
        """The touch that an application wants, on the page that asks for it; the page where that leads."""
        self._expect("no touch is asked for", self.submit("/apps/touch/begin"))
        return self.follow(self.finish(key, **faults))

    def bind(self, key: StubKey, name: str = "", *, prove_with: StubKey | None = None) -> str:
        """Bind a key, proving first by code or (where another key is bound) by that; its credential id in base64url."""
        self.get(f"{U2F}")
        if self.page.form("/u2f/code"):
            since = time.time_ns()
            self._expect("no code was sent", self.send_code(), "/u2f/verify")
            self._expect("the code was refused", self.verify(self._code(since)), "/bind/begin")
        elif self.page.form("/prove/begin"):
            self._prove(prove_with or key)
        self._expect("binding does not begin", self.begin_bind(name))
        response = self.follow(self.finish_bind(key))
        if not response.url.path.endswith("/u2f/done"):
            raise Unexpected("not bound", response)
        return key.slug

    def unbind(self, key: StubKey | str, *, prove_with: StubKey | None = None) -> None:
        """Unbind a key (or the one with this id in base64url), proving first by that or another key, if that is asked."""
        slug = key if isinstance(key, str) else self._bound_slug(key)
        self.confirm_unbind(slug)
        if self.page.form("/prove/begin"):
            prover = prove_with or key
            if isinstance(prover, str):
                raise TypeError("a key is needed to prove it is you: prove_with")
            self._prove(prover)
        self._expect("not unbound", self.finish_unbind(slug), "/logoff")

    # each step alone

    def submit_password(self, username: str, password: str, **fields: str) -> httpx2.Response:
        """POST /logon, from its page: the one that is open, if that leads on to somewhere, such as an application."""
        open_now = self.page.form("/logon")
        if not open_now or not open_now.fields["next"]:
            self.get("/logon")
        return self.submit("/logon", username=username, password=password, **fields)

    def begin_key(self) -> httpx2.Response:
        """POST /logon/key/begin, from its page."""
        if not self.page.form("/logon/key/begin"):
            self.get("/logon/key")
        return self.submit("/logon/key/begin")

    def finish_key(self, key: StubKey, **faults: Unpack[Faults]) -> httpx2.Response:
        """POST /logon/key/finish with what this key answers."""
        return self.finish(key, **faults)

    def log_off(self) -> httpx2.Response:
        """POST /logoff, from the page that is open or from the account's."""
        if not self.page.form("/logoff"):
            self.get("/account")
        return self.submit("/logoff")

    def send_code(self) -> httpx2.Response:
        """POST …/u2f/code, from the bind page."""
        if not self.page.form("/u2f/code"):
            self.get(U2F)
        return self.submit("/u2f/code")

    def verify(self, code: str) -> httpx2.Response:
        """POST …/u2f/verify, from the bind page."""
        if not self.page.form("/u2f/verify"):
            self.get(U2F)
        return self.submit("/u2f/verify", code=code)

    def begin_prove(self) -> httpx2.Response:
        """POST …/u2f/prove/begin, from the bind page or the unbind dialog, whichever is open."""
        if not self.page.form("/prove/begin"):
            self.get(U2F)
        return self.submit("/prove/begin")

    def finish_prove(self, key: StubKey, **faults: Unpack[Faults]) -> httpx2.Response:
        """POST …/u2f/prove/finish with what this key answers."""
        return self.finish(key, **faults)

    def begin_bind(self, name: str = "") -> httpx2.Response:
        """POST …/u2f/bind/begin, from the bind page; without a name, the suggested one stays."""
        if not self.page.form("/bind/begin"):
            self.get(U2F)
        return self.submit("/bind/begin", **({"name": name} if name else {}))

    def finish_bind(self, key: StubKey, **faults: Unpack[Faults]) -> httpx2.Response:
        """POST …/u2f/bind/finish with what this key answers."""
        return self.finish(key, **faults)

    def rename(self, slug: str, name: str) -> httpx2.Response:
        """POST …/u2f/keys/{key}/name, from the Security Settings."""
        self.get(f"/account/security?rename={slug}")
        return self.submit(f"/keys/{slug}/name", name=name)

    def confirm_unbind(self, slug: str) -> httpx2.Response:
        """GET …/u2f/keys/{key}/unbind, the dialog."""
        return self.get(f"{U2F}/keys/{slug}/unbind")

    def finish_unbind(self, slug: str) -> httpx2.Response:
        """POST …/u2f/keys/{key}/unbind, the OK of the dialog that is open."""
        return self.submit(f"/keys/{slug}/unbind")

    def finish(self, key: StubKey, **faults: Unpack[Faults]) -> httpx2.Response:
        """Send what this key answers to the ceremony on the page, or the DOMException's name where it gives no answer."""
        form = self._form(None)
        return self._send(form, self.answer(key, **faults))

    # what steps are made of

    def answer(self, key: StubKey, **faults: Unpack[Faults]) -> dict[str, str]:
        """The fields of the ceremony form on the page, filled as the page's script fills them; nothing is sent."""
        form = self._form(None)
        ask = key.create if form.ceremony == "create" else key.get
        try:
            return form.fields | {"credential": ask(form.options, self.origin, **faults), "failure": ""}
        except DOMException as refused:
            return form.fields | {"credential": "", "failure": refused.name}

    def get(self, path: str) -> httpx2.Response:
        """A page by its address in the contract; what it says is in `page`."""
        return self._read(self.client.get(self._under(path)))

    def submit(self, ending: str, **fields: str) -> httpx2.Response:
        """Send the form of this page whose action ends like this, with these fields typed in."""
        form = self._form(ending)
        return self._send(form, form.fields | fields)

    def post(
        self, path: str, fields: Mapping[str, str] | None = None, *, body: bytes | None = None, htmx: bool | None = None
    ) -> httpx2.Response:
        """A POST that no page offered: these fields, or this body, from our own origin. Does not touch `page`."""
        headers = {"origin": self.origin, "content-type": "application/x-www-form-urlencoded"}
        if self.htmx if htmx is None else htmx:
            headers["hx-request"] = "true"
        if body is not None:
            return self.client.post(self._under(path), content=body, headers=headers)
        return self.client.post(self._under(path), data=dict(fields or {}), headers=headers)

    def follow(self, response: httpx2.Response) -> httpx2.Response:
        """The page that a response leads to; the response itself if it leads nowhere."""
        for _ in range(8):
            target = response.headers.get("hx-redirect") or response.headers.get("location")
            if not target:
                return response
            response = self._read(self.client.get(urljoin(str(response.url), target), headers=PAGE))
        raise Unexpected("redirected without end", response)

    def _form(self, ending: str | None) -> Form:
        """The form that ends like this, or the ceremony. A test that asks for one that is not there reads what is."""
        form = self.page.ceremony if ending is None else self.page.form(ending)
        if form is None:
            offered = ", ".join(form.action for form in self.page.forms) or "none"
            raise AssertionError(f"this page has no {ending or 'ceremony'} form, but {offered}; it says: {self.page.text[:300]}")
        return form

    def _send(self, form: Form, fields: Mapping[str, str]) -> httpx2.Response:
        target = httpx2.URL(urljoin(self._at, form.action))
        headers = PAGE | {"origin": str(target.copy_with(raw_path=b"/")).rstrip("/")}
        if self.htmx and form.htmx:
            headers["hx-request"] = "true"
        return self._read(self.client.request(form.method.upper(), target, data=dict(fields), headers=headers))

    def _read(self, response: httpx2.Response) -> httpx2.Response:
        if response.headers.get("content-type", "").startswith("text/html") and response.text:
            self._html, self._at = response.text, str(response.url)
            self.__dict__.pop("page", None)
        return response

    def _is_here(self, response: httpx2.Response) -> bool:
        """Whether it comes from Keystead, and not from an application behind it."""
        return str(response.url).startswith(f"{self.origin}/")

    def _under(self, path: str) -> str:
        return path if self.prefix and path.startswith(f"{self.prefix}/") else self.prefix + path

    def _expect(self, otherwise: str, response: httpx2.Response, ending: str | None = None) -> httpx2.Response:
        """Where the response leads, if that is a page or panel with this form (or with a ceremony) on it."""
        response = self.follow(response)
        offered = self.page.form(ending) if ending else self.page.ceremony
        if response.status_code != 200 or offered is None:
            raise Unexpected(otherwise, response)
        return response

    def _prove(self, key: StubKey) -> None:
        self._expect("proving does not begin", self.begin_prove())
        response = self.follow(self.finish_prove(key))
        if response.status_code != 200 or self.page.form("/prove/begin"):
            raise Unexpected("not proven", response)

    def _code(self, since: int) -> str:
        if self.mailbox is None:
            raise TypeError("a visitor without a mailbox cannot read the code")
        return self.mailbox.code(self.email, since)

    def _bound_slug(self, key: StubKey) -> str:
        """Which of the key's credentials this account has bound; its newest for this site, if the page does not say."""
        host = urlsplit(self.origin).hostname or ""
        ours = [c.slug for c in key.credentials if c.rp_id == host]
        self.get("/account/security")
        return next((slug for slug in reversed(ours) if f"key-{slug}" in self.page.ids), key.slug)


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls at the same moment, each in a thread of its own; what they returned, in order. Raises what one raised."""
    barrier = Barrier(len(calls))
    results: list[T | BaseException] = [RuntimeError("did not run")] * len(calls)

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = calls[number]()
        except BaseException as error:  # noqa: BLE001 - handed on below
            results[number] = error

    threads = [Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    returned = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        returned.append(result)
    return returned
