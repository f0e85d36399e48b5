"""Who is at the other end."""

from ipaddress import ip_network

import pytest

from tests.web.asked import request, settings
from webapp.testing.site import Site, running
from webapp.web import client

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
TOLD = [
    ("10.0.0.1", {"x-forwarded-for": "203.0.113.9"}, "203.0.113.9"),
    ("10.0.0.1", {"x-forwarded-for": "198.51.100.6, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"),
    ("192.0.2.8", {"x-forwarded-for": "203.0.113.9"}, "192.0.2.8"),
    ("10.0.0.1", {"forwarded": 'for="[2001:db8::7]:4711";proto=https, for=10.0.0.2'}, "2001:db8::7"),
    ("10.0.0.1", {"x-forwarded-for": "203.0.113.9:5000"}, "203.0.113.9"),
    ("10.0.0.1", {"x-forwarded-for": "203.0.113.9", "forwarded": "for=198.51.100.6"}, "10.0.0.1"),
    ("10.0.0.1", {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9"}, "203.0.113.9"),
    ("10.0.0.1", {"x-forwarded-for": "<script>, nonsense"}, "10.0.0.1"),
    ("10.0.0.1", {"x-forwarded-for": "f" * 9000}, "10.0.0.1"),
    ("10.0.0.1", {}, "10.0.0.1"),
    ("fd00::1", {"x-forwarded-for": "2001:db8::9"}, "2001:db8::9"),
]


@pytest.mark.parametrize(("peer", "headers", "seen"), TOLD)
def test_an_address_is_read_from_the_right_where_our_own_proxies_write(peer: str, headers: dict[str, str], seen: str) -> None:
    assert client.address(request(settings(trusted_proxies=PROXIES), headers, peer)) == seen


@pytest.mark.parametrize(("peer", "headers"), [(peer, headers) for peer, headers, _ in TOLD])
def test_without_a_named_proxy_nobody_speaks_for_anybody(peer: str, headers: dict[str, str]) -> None:
    assert client.address(request(settings(), headers, peer)) == peer


def test_only_a_trusted_proxy_speaks_for_somebody_else(keystead: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The whole way: what stands in the events of the account."""
    with running(tmp_path_factory.mktemp("proxied"), trusted_proxies=PROXIES) as site:
        for site_, peer, headers, seen in ((keystead, *TOLD[0][:2], "10.0.0.1"), *((site, *told) for told in TOLD)):
            visitor = site_.visitor(address=peer)
            visitor.client.headers.update(headers)
            visitor.log_on("zoe", site_.password)
            found = site_.call(site_.backend.events_of, site_.account.id, 1)
            assert found[0].address == seen, (peer, headers)


def test_a_browser_is_told_by_its_name_and_its_system(keystead: Site) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    assert keystead.read().sessions[0].browser == "Chrome on Linux"
