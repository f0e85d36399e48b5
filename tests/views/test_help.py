"""`KEYSTEAD_HELP`: whoever is told to ask somebody is told where."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.views.people import bound
from webapp.accounts import identities
from webapp.settings import Help
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

WHERE = Help("mailto:help@example.com", "help@example.com")
LINK = '(<a class="whole" href="mailto:help@example.com"><bdi>help@example.com</bdi></a>)'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path, help=WHERE) as site:
        yield site


def half(site: Site, key: StubKey) -> Visitor:
    visitor = bound(site, key)
    visitor.log_off()
    visitor.submit_password("zoe", site.password)
    return visitor


@pytest.mark.parametrize("page", ["/logon/key", "/logon/recovery"])
def test_whoever_has_lost_the_key_reads_where_to_ask(site: Site, stub_key: StubKey, page: str) -> None:
    assert f"whoever runs <bdi>Keystead</bdi> {LINK}" in half(site, stub_key).get(page).text


def test_whose_account_is_barred_reads_where_to_ask(site: Site) -> None:
    site.change(site.account, identities.bar)
    assert "Ask whoever runs Keystead (help@example.com)." in site.visitor().submit_password("zoe", site.password).text


def test_whoever_finds_a_mistake_of_ours_reads_where_to_tell(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.backend, "account_named", None)
    client = TestClient(site.app, base_url=site.settings.origin, raise_server_exceptions=False)
    client.portal = site.portal
    client.app_state.update(site.state)
    answer = client.post("/logon", data={"username": "zoe"}, headers={"origin": site.settings.origin})
    assert answer.status_code == 500
    assert f"If you ask whoever runs <bdi>Keystead</bdi> {LINK}, give this number" in answer.text


def test_whose_key_may_have_been_copied_reads_where_to_tell(site: Site, stub_key: StubKey) -> None:
    visitor = half(site, stub_key)
    visitor.begin_key()
    visitor.finish_key(stub_key)
    visitor.log_off()
    visitor.submit_password("zoe", site.password)
    visitor.begin_key()
    assert f"Tell whoever runs <bdi>Keystead</bdi> {LINK} about it" in visitor.finish_key(stub_key, counter=0).text
