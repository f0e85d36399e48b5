"""A site in its deployer's own colour, with their logo, terms and privacy page, under the same policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.views.mails import mails
from webapp import branding
from webapp.testing.site import Site, running

ROOT = Path(__file__).parents[2]
TERMS, PRIVACY = "https://www.example.com/terms", "https://www.example.com/privacy?a=1&b=2"


@pytest.fixture
def branded(tmp_path: Path) -> Iterator[Site]:
    logo = branding.logo(str(ROOT / "static" / "favicon.svg"))
    with running(tmp_path, accent="#1f5fae", logo=logo, terms=TERMS, privacy=PRIVACY) as site:
        yield site


@pytest.mark.parametrize(("file", "media_type"), [("brand.css", "text/css; charset=utf-8"), ("logo", "image/svg+xml")])
def test_colour_and_logo_are_files_that_browsers_keep(branded: Site, file: str, media_type: str) -> None:
    visitor, version = branded.visitor(), branded.settings.made[file].version
    assert f"/static/{file}?{version}" in visitor.get("/logon").text
    kept = visitor.client.get(f"/static/{file}?{version}")
    assert (kept.status_code, kept.headers["content-type"]) == (200, media_type)
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert visitor.client.get(f"/static/{file}?0123456789ab").headers["cache-control"] == "no-cache"


def test_the_policy_against_scripts_and_styles_in_pages_stays_as_it_is(branded: Site, tmp_path: Path) -> None:
    with running(tmp_path / "plain") as plain:
        own, ours = (site.visitor().get("/logon") for site in (branded, plain))
    assert own.headers["content-security-policy"] == ours.headers["content-security-policy"]
    assert "style=" not in own.text
    assert "<style" not in own.text


def test_a_site_that_has_none_of_it_has_no_such_files(keystead: Site) -> None:
    visitor = keystead.visitor()
    page = visitor.get("/logon").text
    for file in ("brand.css", "logo"):
        assert f"/static/{file}" not in page
        assert visitor.client.get(f"/static/{file}").status_code == 404
    assert "Terms" not in page


def test_terms_and_privacy_are_at_the_foot_of_each_page(branded: Site) -> None:
    visitor = branded.visitor(branded.account)
    visitor.log_on("zoe", branded.password)
    for path in ("/logon/forgotten", "/account", "/nowhere"):
        page = visitor.get(path).text
        assert f'<a href="{TERMS}">Terms</a>' in page
        assert '<a href="https://www.example.com/privacy?a=1&amp;b=2">Privacy</a>' in page


def test_letters_have_the_colour_and_the_links(branded: Site) -> None:
    visitor = branded.visitor(branded.account)
    visitor.log_on("zoe", branded.password)
    visitor.send_code()
    text, html = (part.get_content() for part in mails(branded)[0].iter_parts())
    assert text.splitlines()[-2:] == [f"Terms: {TERMS}", f"Privacy: {PRIVACY}"]
    assert "2px solid #1f5fae" in html
    assert f'<a href="{TERMS}"' in html
