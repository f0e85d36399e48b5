"""The Grafana dashboard shows what `/metrics` tells: every name and label in it is one of ours, and nothing is left out."""

import json
import re
from typing import Any

import pytest

from tests.deploy.proxies import ROOT
from webapp.testing.site import running
from webapp.testing.stub_key import StubKey

BOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
SECRET = "r7vQm2Lx9TdKpWn4ZsBc6HgYj8FaUe3o"
BY_PROMETHEUS = {"le", "instance"}


def expressions() -> list[str]:
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The metrics of a site where a bit of everything happened."""
    with running(tmp_path_factory.mktemp("site"), metrics=SECRET) as site:
        visitor, key = site.visitor(), StubKey()
        visitor.log_on(site.account.username, site.password)
        visitor.bind(key)
        visitor.follow(visitor.log_off())
        visitor.log_on(site.account.username, site.password, key)
        for _ in range(11):
            site.visitor().submit_password(site.account.username, "wrong")
        return site.visitor().client.get("/metrics", headers={"authorization": f"Bearer {SECRET}"}).text


def test_every_metric_is_shown_and_every_shown_one_exists(told: str) -> None:
    shown = set(re.findall(r"keystead_\w+", " ".join(expressions())))
    exist = set(re.findall(r"^(keystead_\w+)(?:\{|\s)", told, re.MULTILINE))
    assert shown <= exist
    families = re.findall(r"^# TYPE (keystead_\w+) \w+$", told, re.MULTILINE)
    assert [family for family in families if not any(name.startswith(family) for name in shown)] == []


def test_every_label_and_word_in_an_expression_is_one_that_is_told(told: str) -> None:
    for expression in expressions():
        labels = dict(re.findall(r'(\w+)=~?"([^"]*)"', expression))
        grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
        for label in {*labels, *grouped} - BY_PROMETHEUS:
            assert f'{label}="' in told, (label, expression)
        for label, word in labels.items():
            if label not in BY_PROMETHEUS and "." not in word:
                assert f'{label}="{word}"' in told, (label, word)


def test_panels_do_not_overlap_and_say_what_they_mean() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in BOARD["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["description"] for panel in BOARD["panels"])
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(places)


def test_the_dashboard_belongs_to_no_installation() -> None:
    text = (ROOT / "deploy" / "grafana-dashboard.json").read_text()
    assert "://" not in text
    assert set(re.findall(r'"uid": "([^"]*)"', text)) == {"${datasource}", "keystead"}
