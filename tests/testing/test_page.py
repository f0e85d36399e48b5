"""Reading a page as a browser does."""

from webapp.testing.page import Page

PAGE = """<!doctype html><title>A &amp; B</title><svg><title>a drawing</title></svg>
<main id="main"><p role="alert" hidden>not yet</p><p role="alert">That is <b>wrong</b>.<br>Try again.</p>
<noscript><form action="/never"></form>Switch it on</noscript>
<form method="post" action="/x/begin" hx-post="/x/begin">
<input type="hidden" name="next" value="&lt;/a&gt;"><input name="name" value="K">
<button name="ignored" value="x">Go</button></form>
<form action="/search"><input name="q"></form>
<form method="POST" action="/x/finish" data-ceremony="create" data-options='{"rp":{"id":"a&quot;b"}}'>
<input name="credential" value=""></form>
<a href="/away">away</a><input name="outside" value="x"></main>"""


def test_forms_are_read_with_what_they_hold() -> None:
    page = Page.read(PAGE)
    begin = page.form("/begin")
    assert begin is not None
    assert (begin.method, begin.action, begin.htmx) == ("post", "/x/begin", True)
    assert begin.fields == {"next": "</a>", "name": "K"}
    search = page.form("/search")
    assert search is not None
    assert (search.method, search.htmx, search.fields) == ("get", False, {"q": ""})
    assert page.form("/nothing") is None


def test_the_ceremony_is_found() -> None:
    ceremony = Page.read(PAGE).ceremony
    assert ceremony is not None
    assert (ceremony.ceremony, ceremony.options, ceremony.method) == ("create", '{"rp":{"id":"a"b"}}', "post")
    assert Page.read("<p>nothing</p>").ceremony is None


def test_what_is_announced_is_read() -> None:
    page = Page.read(PAGE)
    assert page.said == ["That is wrong . Try again."]
    assert (page.title, page.links, page.ids) == ("A & B", ["/away"], ["main"])
    assert "Switch it on" not in page.text
