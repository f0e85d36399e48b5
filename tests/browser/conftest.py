"""Real Chromium and real Firefox, with virtual security keys, on a real server.

Each browser is started once a run; each test gets a context of its own and people of its own. A page that runs into a script
error, or that breaks its own Content-Security-Policy, fails its test.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    Response,
    expect,
    sync_playwright,
)

from tests.browser import keys as virtual
from tests.browser import live_site
from tests.browser.keys import BrowserName, MakeKeys, VirtualKeys
from tests.browser.live_site import Person, Site

HERE = Path(__file__).parent
SECONDS = 15
"""Until something is given up that comes at once on a machine that does nothing else."""
expect.set_options(timeout=SECONDS * 1000)

HOLD_TOUCHES = """(() => {
  const credentials = navigator.credentials;
  if (!credentials) return;  // about:blank, in Firefox
  for (const name of ["create", "get"]) {
    const ask = credentials[name].bind(credentials);
    credentials[name] = (options) => new Promise((answer, fail) => {
      window.__touch = () => ask(options).then(answer, fail);
      window.__fail = (error) => fail(new DOMException("held by a test", error));
      if (options.signal) options.signal.addEventListener("abort", () => window.__fail("AbortError"));
    });
  }
})()"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright keeps an event loop in this thread, and async tests need to start theirs."""
    items[:] = [item for item in items if not _is_spared(item)]
    items.sort(key=lambda item: HERE in item.path.parents)


def _is_spared(item: pytest.Item) -> bool:
    """What Chromium shows of the same documents, or by the same script, is not asked of Firefox, where it takes twice as long."""
    spec = getattr(item, "callspec", None)
    return bool(spec and item.get_closest_marker("chromium_is_enough") and spec.params.get("browser_name") == "firefox")


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody at a browser: a context with one page open, and the virtual keys of that page."""

    browser_name: BrowserName
    context: BrowserContext
    page: Page
    keys: VirtualKeys
    keys_of: MakeKeys
    """The keys of another page, such as a tab that was opened. In Chromium no ceremony ends in a page that was not asked for."""

    @property
    def firefox(self) -> bool:
        return self.browser_name == "firefox"

    def hold_touches(self) -> None:
        """From the next page on, nobody touches until `touch` is called, or somebody cancels by `fail`."""
        self.context.add_init_script(HOLD_TOUCHES)

    def touch(self, page: Page | None = None) -> None:
        """Touch the key, after `hold_touches`."""
        (page or self.page).evaluate("() => { window.__touch(); }")

    def fail(self, error: str = "NotAllowedError", page: Page | None = None) -> None:
        """The ceremony ends with this DOMException, after `hold_touches`. The default is what a browser says of a cancel."""
        (page or self.page).evaluate("(error) => { window.__fail(error); }", error)


NewVisit = Callable[..., Visit]


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="session", params=list(virtual.PROGRAMS))
def browser_name(request: pytest.FixtureRequest) -> BrowserName:
    name: BrowserName = request.param
    if virtual.PROGRAMS[name] is None:
        pytest.skip(f"{name} IS NOT INSTALLED: nothing was tested in it")
    return name


@pytest.fixture(scope="session")
def browser(playwright: Playwright, browser_name: BrowserName) -> Iterator[tuple[Browser, MakeKeys]]:
    with virtual.launch(playwright, browser_name) as running:
        yield running


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that all tests share; what they do on it is their own person's."""
    with live_site.serving(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """`serve(KEYSTEAD_PREVIEW="listed")` starts a server of the test's own."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(live_site.serving(tmp_path / f"site-{len(settings)}", **settings))


@pytest.fixture
def person(site: Site) -> Person:
    """Somebody new on the shared site."""
    return site.person()


@pytest.fixture
def new_visit(browser: tuple[Browser, MakeKeys], browser_name: BrowserName, playwright: Playwright) -> Iterator[NewVisit]:
    """`new_visit(java_script_enabled=False)` is another browser profile, with Playwright's options of a context."""
    wrong: list[str] = []
    with ExitStack() as stack:

        def visit(**options: Any) -> Visit:
            look = virtual.look(browser_name, options)
            running, make_keys = stack.enter_context(virtual.launch(playwright, browser_name, look)) if look else browser
            context = running.new_context(**options)
            stack.callback(context.close)
            context.set_default_timeout(SECONDS * 1000)
            context.on("console", lambda message: _note(message, wrong))
            context.on("weberror", lambda error: wrong.append(str(error.error)))
            page = context.new_page()
            if browser_name == "firefox":
                _persist(page)
            keys = make_keys(page)
            stack.callback(keys.clear)
            return Visit(browser_name, context, page, keys, make_keys)

        yield visit
    assert wrong == []


@pytest.fixture
def visit(new_visit: NewVisit) -> Visit:
    """Somebody at a browser."""
    return new_visit()


def _persist(page: Page) -> None:
    """Let `goto` try again: on a busy machine Playwright takes Firefox's news of one navigation for that of two, and gives up."""
    goto = page.goto

    def again(url: str, **options: Any) -> Response | None:
        try:
            return goto(url, **options)
        except Error as error:
            if "is interrupted by another navigation" not in error.message:
                raise
            page.wait_for_load_state()
            return goto(url, **options)

    page.goto = again  # type: ignore[method-assign]  # every test calls it, and none should have to know


def _note(message: ConsoleMessage, wrong: list[str]) -> None:
    """Errors on the console; an answer of 4xx is one for Chromium, and none for us."""
    if message.type == "error" and not message.text.startswith("Failed to load resource"):
        wrong.append(message.text)
