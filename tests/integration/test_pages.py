import re
from pathlib import Path

import pytest
from starlette.routing import Route

from webapp import pages
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

OLD = {
    "Internet Explorer 11": "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
    "Chrome 50": "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/50.0.2661.102 Safari/537.36",
    "Firefox 59": "Mozilla/5.0 (X11; Linux x86_64; rv:59.0) Gecko/20100101 Firefox/59.0",
}
PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
CHROME_60 = "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/60.0.3112.78 Safari/537.36"


@pytest.mark.parametrize("browser", OLD)
def test_a_browser_that_is_too_old_gets_a_page_that_names_what_works(keystead: Site, browser: str) -> None:
    page = keystead.visitor().client.get("/logon", headers={"user-agent": OLD[browser]})
    assert browser in page.text
    assert "Chrome" in page.text
    assert "Firefox" in page.text
    assert "<script" not in page.text


def test_a_phone_is_told_that_the_key_is_used_on_a_pc_unless_the_deployer_allows_it(
    keystead: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path_factory.mktemp("phones"), phones="allowed") as allowing:
        for site, told in ((keystead, True), (allowing, False)):
            visitor, key = site.visitor(), StubKey()
            visitor.log_on("zoe", site.password)
            visitor.bind(key)
            visitor.log_off()
            visitor.submit_password("zoe", site.password)
            page = visitor.client.get("/logon/key", headers={"user-agent": PHONE}).text
            assert ("used on a PC or laptop" in page) is told
            assert ("/logon/key/begin" not in page) is told


def test_a_phone_that_says_so_is_still_let_in_with_the_key(half_signed_in: Visitor, stub_key: StubKey) -> None:
    half_signed_in.get("/logon/key")
    half_signed_in.client.headers["user-agent"] = PHONE
    half_signed_in.log_on_with(stub_key)


def test_a_browser_that_lies_still_owes_the_key(half_signed_in: Visitor) -> None:
    for user_agent in (*OLD.values(), PHONE, "", "\x7f"):
        answer = half_signed_in.client.get("/account", headers={"user-agent": user_agent})
        assert "zoe" not in answer.text


def test_a_browser_without_webauthn_is_told_which_version_has_it(keystead: Site) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    visitor.send_code()
    visitor.get("/account/security/u2f")
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    page = visitor.client.get("/account/security/u2f", headers={"user-agent": CHROME_60}).text
    assert "Chrome has it from version 67 on." in page


def test_every_answer_carries_the_headers_that_keep_a_page_to_itself(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    for path in ("/logon", "/account", "/nowhere", "/static/app.css", "/healthz"):
        headers = keystead_visitor.client.get(path).headers
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "publickey-credentials-get=(self)" in headers["permissions-policy"]
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "server" not in headers
        assert ("no-store" in headers["cache-control"]) is not path.startswith("/static")


def test_pages_and_files_travel_compressed_and_panels_as_they_are(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    smaller = [keystead_visitor.client.get(path).headers.get("content-encoding") for path in ("/account", "/static/app.css")]
    assert smaller == ["gzip", "gzip"]
    panel = keystead.visitor(htmx=True)
    panel.log_on("zoe", keystead.password)
    assert "content-encoding" not in panel.send_code().headers


def test_over_https_the_cookie_is_bound_to_the_host_and_hsts_is_sent(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("site"), public_url="https://keys.example.com") as site:
        answer = site.visitor().submit_password("zoe", site.password)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-keystead=")
        assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(cookie.split("; "))
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_the_host_header_is_never_used(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    for path in ("/", "/logon", "/account", "/account/security", "/account/security/u2f", "/account/security/"):
        answer = keystead_visitor.client.get(path, headers={"host": "evil.example", "x-forwarded-host": "evil.example"})
        assert "evil.example" not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {}]
)
def test_a_form_from_elsewhere_is_refused_and_does_nothing(keystead: Site, headers: dict[str, str]) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    for route in keystead.app.routes:
        if isinstance(route, Route) and route.methods and "POST" in route.methods:
            answer = visitor.client.post(route.path.replace("{key}", "x").replace("{id}", "x"), headers=headers)
            assert answer.status_code == 403, route.path
    assert visitor.get("/account").status_code == 200
    assert list(keystead.mailbox.mails()) == []


def test_pages_that_do_not_exist_and_wrong_methods_are_plain_words(keystead: Site, keystead_visitor: Visitor) -> None:
    missing = keystead_visitor.get("/nowhere")
    assert missing.status_code == 404
    assert "There is no such page" in missing.text
    assert keystead_visitor.post("/account").status_code == 405
    assert keystead_visitor.client.get("/logoff").status_code == 405
    assert keystead_visitor.client.get("/static/../webapp/app.py").status_code == 404


def test_a_body_that_is_no_form_is_refused(keystead: Site, keystead_visitor: Visitor) -> None:
    origin = {"origin": keystead.settings.origin}
    json = keystead_visitor.client.post("/logon", json={"username": "zoe"}, headers=origin)
    assert json.status_code == 415
    files = keystead_visitor.client.post("/logon", files={"a": b"x"}, headers=origin)
    assert files.status_code == 415
    assert keystead_visitor.post("/logon", body=b"username=" + b"x" * 70_000).status_code == 413
    assert keystead_visitor.post("/logon", body=b"username=%ff%fe").status_code == 400
    assert keystead_visitor.post("/logon", body=b"\xff\xfe=x").status_code == 400
    assert keystead_visitor.post("/logon", body=b"username=a%00b").status_code == 400
    assert keystead_visitor.post("/logon", body=b"&".join(b"a=b" for _ in range(100))).status_code == 400
    assert keystead_visitor.post("/logon", body=b"").status_code == 401


def test_the_site_works_under_a_prefix_whether_or_not_the_proxy_strips_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("site"), public_url="https://example.com/account-center") as site:
        visitor, key = site.visitor(), StubKey()
        visitor.log_on("zoe", site.password)
        visitor.bind(key)
        page = visitor.get("/account/security").text
        assert set(re.findall(r'(?:href|src|action|hx-post|hx-get)="(/[^"]*)"', page))
        for path in re.findall(r'(?:href|src|action|hx-post|hx-get)="(/[^"]*)"', page):
            assert path.startswith("/account-center/")
        assert visitor.client.get("/account/security").status_code == 200, "as behind a proxy that strips the prefix"
        assert visitor.client.get("/account-center/account/security").status_code == 200
        assert (
            visitor.client.get("/static/app.css").status_code
            == visitor.client.get("/account-center/static/app.css").status_code
            == 200
        )
        stranger = site.visitor().client.get("/account/sessions")
        assert stranger.headers["location"] == "/account-center/logon?next=%2Faccount-center%2Faccount%2Fsessions"


def test_health_and_readiness(keystead: Site) -> None:
    client = keystead.visitor().client
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").text == "ok\n"


def test_a_panel_file_has_one_root_whose_id_is_its_name_and_every_target_exists() -> None:
    templates = pages.STATIC.parent / "templates"
    ids = set()
    everything = ""
    for file in sorted(templates.glob("*.html")):
        text = re.sub(r"\{#.*?#\}", "", file.read_text(), flags=re.DOTALL)
        everything += text
        ids |= set(re.findall(r'\bid="([\w-]+)"', text))
        if file.name.startswith("_"):
            markup = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL).strip()
            root = re.match(r"<(\w+)\b[^>]*\bid=\"([\w-]+)\"", markup)
            assert root, file.name
            assert root[2] == file.stem[1:]
            assert markup.endswith(f"</{root[1]}>"), file.name
    targets = set(re.findall(r'hx-target="#([\w-]+)"', everything)) | set(re.findall(r"'#([\w-]+)'", everything))
    assert targets
    assert targets <= ids


def test_no_template_trusts_markup_or_carries_a_script_or_style_of_its_own() -> None:
    root: Path = pages.STATIC.parent / "templates"
    for file in root.rglob("*.html"):
        text = file.read_text()
        assert "|safe" not in text.replace(" ", "")
        if file.parent.name != "mail":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|hx-on|hx-boost|hx-swap-oob", text), file.name
