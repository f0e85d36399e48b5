"""The headers of every answer."""

import pytest

from webapp import templating
from webapp.testing.site import Site
from webapp.testing.visitor import Visitor

FOREVER = "public, max-age=31536000, immutable"


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


def test_a_file_at_its_own_version_is_kept_for_a_year(keystead: Site, keystead_visitor: Visitor) -> None:
    version = templating.digest("app.css")
    assert f"/static/app.css?{version}" in keystead_visitor.get("/logon").text
    found = keystead_visitor.client.get(f"/static/app.css?{version}")
    assert (found.status_code, found.headers["cache-control"]) == (200, FOREVER)
    same = {"if-none-match": found.headers["etag"]}
    assert keystead_visitor.client.get(f"/static/app.css?{version}", headers=same).status_code == 304


@pytest.mark.parametrize("address", ["app.css", "app.css?", "app.css?0123456789ab", "no.css?0123456789ab", "no.css"])
def test_what_is_not_there_or_of_another_version_is_not_kept(keystead_visitor: Visitor, address: str) -> None:
    """A 404 was kept for a year: a file that comes with the next version would have stayed away from whoever asked early."""
    assert keystead_visitor.client.get(f"/static/{address}").headers["cache-control"] == "no-cache"


def test_what_is_refused_is_not_kept_though_its_address_names_the_version(keystead: Site, keystead_visitor: Visitor) -> None:
    path = f"/static/app.css?{templating.digest('app.css')}"
    for headers, status in (({}, 403), ({"origin": keystead.settings.origin}, 405)):
        answer = keystead_visitor.client.post(path, headers=headers)
        assert (answer.status_code, answer.headers["cache-control"]) == (status, "no-cache")


@pytest.mark.parametrize("path", ["/static/../webapp/app.py", "/static/%2e%2e/pyproject.toml", "/static//etc/passwd"])
def test_no_other_file_is_given_away(keystead_visitor: Visitor, path: str) -> None:
    assert keystead_visitor.client.get(path).status_code == 404


def test_under_a_path_a_file_is_kept_as_well_whether_or_not_the_proxy_strips_it(mounted: Site) -> None:
    version = templating.digest("app.css")
    for path in ("/static", "/account-center/static"):
        assert mounted.visitor().client.get(f"{path}/app.css?{version}").headers["cache-control"] == FOREVER


def test_the_host_header_is_never_used(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    for path in ("/", "/logon", "/account", "/account/security", "/account/security/u2f", "/account/security/"):
        answer = keystead_visitor.client.get(path, headers={"host": "evil.example", "x-forwarded-host": "evil.example"})
        assert "evil.example" not in answer.text + str(answer.headers)
