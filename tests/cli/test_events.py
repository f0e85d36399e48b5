"""`keystead events …`: what happened, for another program; and what is old enough to go."""

import json
from datetime import timedelta

from backends.records import Account
from tests.cli import deployment as deployments
from tests.cli.deployment import Deployment
from webapp.accounts import identities
from webapp.testing.clock import Clock


def test_events_are_exported_as_json_lines_of_one_account_or_of_all(deployment: Deployment, anna: Account) -> None:
    deployment.change(identities.freeze)
    deployment.ok("account", "add", "bert", "bert@example.com", "--stdin", stdin="correct horse battery\n")
    lines = [json.loads(line) for line in deployment.ok("events", "export", "ANNA").splitlines()]
    assert [(line["seq"], line["kind"]) for line in lines] == [(1, "account added"), (2, "frozen")]
    assert {"account_id", "at", "address", "browser", "detail", "mac"} <= lines[0].keys()
    assert len(deployment.ok("events", "export").splitlines()) == 3
    assert "There is no account nobody." in deployment.refused("events", "export", "nobody")


def test_events_older_than_the_deployer_keeps_them_go_and_the_rest_is_whole(deployment: Deployment) -> None:
    with Clock() as clock:
        clock.move(timedelta(days=-400))
        deployment.add(deployments.anna())
        for _ in range(2):
            deployment.change(identities.freeze)
    deployment.change(identities.unfreeze)
    assert deployment.ok("events", "expire", KEYSTEAD_EVENTS_KEPT="500d") == "Deleted 0 events.\n"
    assert deployment.ok("events", "expire", KEYSTEAD_EVENTS_KEPT="365d") == "Deleted 3 events.\n"
    assert [event.kind for event in deployment.events()] == ["unfrozen", "events expired"]
    assert deployment.read().checkpoint.seq == 3
    assert deployment.ok("backend", "check") == "All is well.\n"
    assert deployment.ok("events", "expire", KEYSTEAD_EVENTS_KEPT="365d") == "Deleted 0 events.\n"


def test_without_a_decision_of_the_deployer_all_events_are_kept(deployment: Deployment, anna: Account) -> None:
    assert "KEYSTEAD_EVENTS_KEPT is not set: all events are kept." in deployment.refused("events", "expire")
