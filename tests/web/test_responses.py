"""HTML out: pages and panels, refusals, and what templates may hold."""

import re

import pytest

from tests.views.people import proven
from tests.web.test_middleware import PHONE
from webapp import templating
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

CHROME_60 = "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/60.0.3112.78 Safari/537.36"
TEMPLATES = templating.STATIC.parent / "templates"


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
            assert ("hold it to the phone" in page) is not told


def test_a_phone_that_says_so_is_still_let_in_with_the_key(half_signed_in: Visitor, stub_key: StubKey) -> None:
    half_signed_in.get("/logon/key")
    half_signed_in.client.headers["user-agent"] = PHONE
    half_signed_in.log_on_with(stub_key)


def test_a_browser_without_webauthn_is_told_which_version_has_it(keystead: Site) -> None:
    visitor = proven(keystead)
    page = visitor.client.get("/account/security/u2f", headers={"user-agent": CHROME_60}).text
    assert "Chrome has it from version 67 on." in page


def test_pages_and_files_travel_compressed_and_panels_as_they_are(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    smaller = [keystead_visitor.client.get(path).headers.get("content-encoding") for path in ("/account", "/static/app.css")]
    assert smaller == ["gzip", "gzip"]
    panel = keystead.visitor(htmx=True)
    panel.log_on("zoe", keystead.password)
    assert "content-encoding" not in panel.send_code().headers


def test_pages_that_do_not_exist_and_wrong_methods_are_plain_words(keystead: Site, keystead_visitor: Visitor) -> None:
    missing = keystead_visitor.get("/nowhere")
    assert missing.status_code == 404
    assert "There is no such page" in missing.text
    assert keystead_visitor.post("/account").status_code == 405
    assert keystead_visitor.client.get("/logoff").status_code == 405
    assert keystead_visitor.client.get("/static/../webapp/app.py").status_code == 404


def test_the_site_works_under_a_prefix_whether_or_not_the_proxy_strips_it(mounted: Site) -> None:
    visitor, key = mounted.visitor(), StubKey()
    visitor.log_on("zoe", mounted.password)
    visitor.bind(key)
    page = visitor.get("/account/security").text
    paths = re.findall(r'(?:href|src|action|hx-post|hx-get)="(/[^"]*)"', page)
    assert paths
    assert all(path.startswith("/account-center/") for path in paths)
    assert visitor.client.get("/account-center/account/security").status_code == 200
    for path in ("/static/app.css", "/account-center/static/app.css"):
        assert visitor.client.get(path).status_code == 200, "also as behind a proxy that strips the prefix"
    stranger = mounted.visitor().client.get("/account/sessions")
    assert stranger.headers["location"] == "/account-center/logon?next=%2Faccount-center%2Faccount%2Fsessions"
    visitor.log_off()
    visitor.log_on("zoe", mounted.password, key)
    visitor.unbind(key)


def test_a_refusal_goes_to_the_place_that_every_page_has_for_it(keystead: Site) -> None:
    """Where htmx asked, the panel stays as it is."""
    visitor = keystead.visitor()
    answer = visitor.post("/logon", body=b"\xff", htmx=True)
    assert (answer.headers["hx-retarget"], answer.headers["hx-reswap"]) == ("#refusal", "outerHTML")
    assert answer.text.startswith('<div id="refusal">')
    assert '<div id="refusal">' in visitor.get("/logon").text


def test_a_panel_file_has_one_root_whose_id_is_its_name_and_every_target_exists() -> None:
    ids: set[str] = set()
    everything = ""
    for file in sorted(TEMPLATES.glob("*.html")):
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
    for file in TEMPLATES.rglob("*.html"):
        text = file.read_text()
        assert "|safe" not in text.replace(" ", "")
        if file.parent.name != "mail":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|hx-on|hx-boost|hx-swap-oob", text), file.name
