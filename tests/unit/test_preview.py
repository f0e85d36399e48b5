from dataclasses import replace
from datetime import UTC, datetime

from backends.records import Account
from webapp import preview
from webapp.settings import Preview, Settings

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ACCOUNT = Account(id="a", username="alice", email="a@example.com", password_hash="", created_at=NOW, password_at=NOW)


def _settings(mode: Preview) -> Settings:
    return Settings(
        public_url="http://localhost:8000", secret_keys=("s" * 32,), backend="", mail="", mail_from="k@example.com", preview=mode
    )


def test_everyone_is_asked_by_default() -> None:
    assert preview.includes(_settings("everyone"), ACCOUNT)


def test_only_listed_accounts_are_asked_when_the_deployer_says_so() -> None:
    assert not preview.includes(_settings("listed"), ACCOUNT)
    assert preview.includes(_settings("listed"), replace(ACCOUNT, listed=True))


def test_a_percentage_takes_about_that_many_and_raising_it_only_adds() -> None:
    accounts = [replace(ACCOUNT, id=f"account-{n}") for n in range(2000)]
    asked = {mode: {a.id for a in accounts if preview.includes(_settings(mode), a)} for mode in (0, 25, 50, 100)}
    assert asked[0] == set()
    assert 400 < len(asked[25]) < 600
    assert asked[25] < asked[50] < asked[100]
    assert len(asked[100]) == 2000


def test_a_listed_account_is_in_every_percentage() -> None:
    assert preview.includes(_settings(0), replace(ACCOUNT, listed=True))
