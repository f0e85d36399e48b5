"""Settings are read once, and every mistake is named at once, in words that a deployer can act on."""

import dataclasses
import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from webapp.settings import TABLE, Help, Settings, SettingsError, markdown

SECRET = "pU3xk9vQmZt6LbRw2yHs8cNf4dGj7aEo"
GOOD = {
    "KEYSTEAD_PUBLIC_URL": "https://account.example.com",
    "KEYSTEAD_SECRET_KEYS": SECRET,
    "KEYSTEAD_BACKEND": "file:///var/lib/keystead/keystead.db",
    "KEYSTEAD_MAIL": "smtp://keystead:s3cret@mail.example.com:587",
    "KEYSTEAD_MAIL_FROM": "keystead@example.com",
}


def problems(**changes: str) -> dict[str, str]:
    """What is said about these variables; the others are good."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(GOOD | changes)
    return caught.value.problems


def test_good_settings_are_read_and_the_rest_has_defaults() -> None:
    settings = Settings.from_environ(GOOD)
    assert settings == Settings(
        public_url="https://account.example.com",
        secret_keys=(SECRET,),
        backend="file:///var/lib/keystead/keystead.db",
        mail="smtp://keystead:s3cret@mail.example.com:587",
        mail_from="keystead@example.com",
    )
    assert (settings.name, settings.preview, settings.phones, settings.port) == ("Keystead", "everyone", "refused", 8000)


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({})
    assert list(caught.value.problems) == [setting.variable for setting in TABLE if setting.default is None]
    assert all(variable in str(caught.value) for variable in GOOD)


def test_missing_and_wrong_are_told_together() -> None:
    found = problems(KEYSTEAD_MAIL="", KEYSTEAD_PREVIEW="some", PORT="http")
    assert list(found) == ["KEYSTEAD_MAIL", "KEYSTEAD_PREVIEW", "PORT"]


def test_a_blank_variable_is_a_missing_one() -> None:
    assert "is not set" in problems(KEYSTEAD_BACKEND="  ")["KEYSTEAD_BACKEND"]


def test_a_slip_of_the_pen_is_pointed_out() -> None:
    found = problems(KEYSTEAD_PUBLIC_URL="", KEYSTEAD_PUBLIC_URI="https://example.com")
    assert "KEYSTEAD_PUBLIC_URI is set" in found["KEYSTEAD_PUBLIC_URL"]


def test_each_field_is_one_row_of_the_table() -> None:
    assert [setting.field for setting in TABLE] == [field.name for field in dataclasses.fields(Settings)]


def test_defaults_of_the_table_are_those_of_the_fields() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Settings)}
    for setting in TABLE:
        assert fields[setting.field] == (dataclasses.MISSING if setting.default is None else setting.parse(setting.default))


def test_the_table_of_the_readme_is_the_one_of_the_code() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert markdown() in readme


def test_keys_of_another_domain_are_left_behind_unless_the_move_is_meant() -> None:
    settings = Settings.from_environ(GOOD)
    assert settings.left_behind([]) == settings.left_behind(["account.example.com"]) == ""
    said = settings.left_behind(["account.example.com", "example.com", "old.example.com"])
    assert "Keys are bound to example.com and old.example.com" in said
    assert "KEYSTEAD_MOVED_FROM=example.com,old.example.com" in said
    moved = Settings.from_environ(GOOD | {"KEYSTEAD_MOVED_FROM": "Old.Example.com, example.com"})
    assert moved.left_behind(["account.example.com", "example.com", "old.example.com"]) == ""
    assert "third.example" in moved.left_behind(["third.example"])


def test_a_domain_that_was_moved_from_is_a_domain() -> None:
    assert "cannot be one" in problems(KEYSTEAD_MOVED_FROM="https://old.example.com")["KEYSTEAD_MOVED_FROM"]


def test_the_secret_of_the_metrics_is_a_secret() -> None:
    assert "at least 32" in problems(KEYSTEAD_METRICS="on")["KEYSTEAD_METRICS"]
    assert "without blanks" in problems(KEYSTEAD_METRICS="a secret with blanks in it, and long")["KEYSTEAD_METRICS"]
    assert Settings.from_environ(GOOD | {"KEYSTEAD_METRICS": SECRET}).metrics == SECRET
    assert SECRET not in repr(Settings.from_environ(GOOD | {"KEYSTEAD_METRICS": SECRET}))


@pytest.mark.parametrize(
    ("typed", "origin", "rp_id", "prefix"),
    [
        ("https://account.example.com", "https://account.example.com", "account.example.com", ""),
        ("https://account.example.com/", "https://account.example.com", "account.example.com", ""),
        ("HTTPS://Account.EXAMPLE.com:443/", "https://account.example.com", "account.example.com", ""),
        ("https://example.com:8443", "https://example.com:8443", "example.com", ""),
        ("https://example.com/account-center/", "https://example.com", "example.com", "/account-center"),
        ("https://example.com:8443/a/b", "https://example.com:8443", "example.com", "/a/b"),
        ("http://localhost:8000", "http://localhost:8000", "localhost", ""),
        ("http://localhost:80", "http://localhost", "localhost", ""),
        ("http://keys.localhost:8000", "http://keys.localhost:8000", "keys.localhost", ""),
        ("https://Bücher.example", "https://xn--bcher-kva.example", "xn--bcher-kva.example", ""),
        ("https://straße.example", "https://xn--strae-oqa.example", "xn--strae-oqa.example", ""),
        ("https://intranet", "https://intranet", "intranet", ""),
    ],
)
def test_the_public_address_gives_origin_relying_party_and_prefix(typed: str, origin: str, rp_id: str, prefix: str) -> None:
    settings = Settings.from_environ(GOOD | {"KEYSTEAD_PUBLIC_URL": typed})
    assert (settings.origin, settings.rp_id, settings.prefix) == (origin, rp_id, prefix)
    assert settings.public_url == origin + prefix
    assert settings.https == origin.startswith("https")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("http://account.example.com", "must be https"),
        ("http://localhost.example.com", "must be https"),
        ("http://127.0.0.1:8000", "not the address 127.0.0.1"),
        ("http://127.1", "not the address 127.1"),
        ("https://2130706433", "not the address 2130706433"),
        ("https://[::1]:8000", "not the address ::1"),
        ("https://user@example.com", "username or password"),
        ("https://user:pw@example.com", "username or password"),
        ("https://@example.com", "username or password"),
        ("https://example.com?", "no ?"),
        ("https://example.com/#top", "no #"),
        ("https://example.com/a/../b", "not plain"),
        ("https://example.com//a", "not plain"),
        ("https://example.com/a b", "blanks"),
        ("https://example.com\\@evil.example", "backslash"),
        ("https://example.com:0", "port 0"),
        ("https://example.com:99999", "port"),
        ("https://example.com:x", "port"),
        ("https://", "names no host"),
        ("https://exa_mple..com", "cannot be one"),
        ("https://example.com.", "cannot be one"),
        ("https://-example.com", "cannot be one"),
        ("https://*.example.com", "cannot be one"),
        ("https://[::1", "not an address"),
        ("account.example.com", "must begin with https://"),
        ("ftp://account.example.com", "must begin with https://"),
    ],
)
def test_a_public_address_that_cannot_serve_keys_is_refused(typed: str, says: str) -> None:
    assert says in problems(KEYSTEAD_PUBLIC_URL=typed)["KEYSTEAD_PUBLIC_URL"]


def test_the_first_secret_signs_and_others_may_follow() -> None:
    settings = Settings.from_environ(GOOD | {"KEYSTEAD_SECRET_KEYS": f" {SECRET[::-1]}, {SECRET} ,"})
    assert settings.secret_keys == (SECRET[::-1], SECRET)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("short", "the secret has 5 characters"),
        (f"{SECRET},{SECRET[:31]}", "secret 2 of 2 has 31 characters"),
        ("abababababababababababababababababab", "repeats the same few characters"),
        (",", "holds no secret"),
    ],
)
def test_a_weak_secret_is_refused_with_the_way_to_make_one(typed: str, says: str) -> None:
    said = problems(KEYSTEAD_SECRET_KEYS=typed)["KEYSTEAD_SECRET_KEYS"]
    assert says in said
    assert "secrets.token_urlsafe(32)" in said


def test_nothing_secret_is_repeated_by_a_repr_or_a_message() -> None:
    environ = GOOD | {"KEYSTEAD_BACKEND": "mongodb://admin:hunter2@db.example.com/keystead"}
    shown = repr(Settings.from_environ(environ))
    wrong = {"KEYSTEAD_MAIL": "smtp://u:hunter2@host:port", "KEYSTEAD_BACKEND": "hunter2 @", "KEYSTEAD_SECRET_KEYS": "hunter2"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(environ | wrong)
    assert set(caught.value.problems) == set(wrong)
    for text in (shown, str(caught.value)):
        assert not re.search(f"hunter2|s3cret|{SECRET}", text)


@pytest.mark.parametrize(
    "typed",
    ["file:///srv/k.db", "mongodb://a,b/keystead?replicaSet=rs0", "mongodb+srv://db.example.com/k", "acme+sql://anything"],
)
def test_any_address_of_a_backend_is_taken(typed: str) -> None:
    assert Settings.from_environ(GOOD | {"KEYSTEAD_BACKEND": typed}).backend == typed


@pytest.mark.parametrize("typed", ["/srv/k.db", "file:k.db", "file://srv/k.db", "file:///", "k.db", "mongodb:"])
def test_what_is_no_address_of_a_backend_is_refused(typed: str) -> None:
    assert "KEYSTEAD_BACKEND" in problems(KEYSTEAD_BACKEND=typed)


@pytest.mark.parametrize(
    "typed", ["smtp://localhost", "smtps://u:p%40@mail.example.com", "smtp://[::1]:2525", "outbox:///srv/out"]
)
def test_an_address_of_a_mail_server_or_a_folder_is_taken(typed: str) -> None:
    assert Settings.from_environ(GOOD | {"KEYSTEAD_MAIL": typed}).mail == typed


@pytest.mark.parametrize(
    "typed",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://u@host",
        "smtp://u:p/w@host",
        "smtp://host?tls=1",
        "outbox://srv/out",
    ],
)
def test_what_cannot_send_mail_is_refused(typed: str) -> None:
    assert "KEYSTEAD_MAIL" in problems(KEYSTEAD_MAIL=typed)


@pytest.mark.parametrize(
    "typed", ["Example <keystead@example.com>", "Bücher AG <keystead@bücher.example>", '"A, B" <a@example.com>']
)
def test_a_sender_may_have_a_name(typed: str) -> None:
    assert Settings.from_environ(GOOD | {"KEYSTEAD_MAIL_FROM": typed}).mail_from == typed


@pytest.mark.parametrize(
    "typed", ["keystead", "a@b@c", "a@example.com, b@example.com", "a@example.com\nBcc: b@example.com", "<>"]
)
def test_a_sender_is_one_address(typed: str) -> None:
    assert "KEYSTEAD_MAIL_FROM" in problems(KEYSTEAD_MAIL_FROM=typed)


@pytest.mark.parametrize(
    ("typed", "read"), [("everyone", "everyone"), ("listed", "listed"), ("25%", 25), ("0%", 0), ("100 %", 100)]
)
def test_the_preview_is_everyone_listed_or_a_percentage(typed: str, read: str | int) -> None:
    assert Settings.from_environ(GOOD | {"KEYSTEAD_PREVIEW": typed}).preview == read


@pytest.mark.parametrize("typed", ["101%", "25", "-1%", "2.5%", "nobody", "٢٥%"])
def test_another_preview_is_refused(typed: str) -> None:
    assert "KEYSTEAD_PREVIEW" in problems(KEYSTEAD_PREVIEW=typed)


@pytest.mark.parametrize(
    ("typed", "read"),
    [("nobody", ()), ("Everyone", "everyone"), ("staff", ("staff",)), ("Admins, staff", ("admins", "staff"))],
)
def test_a_key_is_required_of_nobody_everyone_or_groups(typed: str, read: object) -> None:
    assert Settings.from_environ(GOOD | {"KEYSTEAD_KEY_REQUIRED": typed}).key_required == read


@pytest.mark.parametrize("typed", ["everyone, staff", "nobody staff", "a/b", "staff;14d", ",", "é"])
def test_a_key_is_not_required_of_what_is_no_group(typed: str) -> None:
    assert "KEYSTEAD_KEY_REQUIRED" in problems(KEYSTEAD_KEY_REQUIRED=typed)


def test_the_grace_is_a_time_or_none() -> None:
    assert Settings.from_environ(GOOD | {"KEYSTEAD_KEY_GRACE": "30d"}).key_grace == timedelta(days=30)
    assert Settings.from_environ(GOOD | {"KEYSTEAD_KEY_GRACE": "none"}).key_grace == timedelta()
    assert "KEYSTEAD_KEY_GRACE" in problems(KEYSTEAD_KEY_GRACE="0d")


def test_trusted_proxies_are_addresses_or_whole_networks() -> None:
    settings = Settings.from_environ(GOOD | {"KEYSTEAD_TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16 fd00::/8"})
    assert settings.trusted_proxies == (ip_network("10.0.0.5"), ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    assert "did you mean 10.0.0.0/8" in problems(KEYSTEAD_TRUSTED_PROXIES="10.0.0.1/8")["KEYSTEAD_TRUSTED_PROXIES"]
    assert "'nginx' is neither" in problems(KEYSTEAD_TRUSTED_PROXIES="nginx")["KEYSTEAD_TRUSTED_PROXIES"]


@pytest.mark.parametrize(
    ("variable", "typed"),
    [
        ("KEYSTEAD_PHONES", "yes"),
        ("KEYSTEAD_LANGUAGE", "zh-TW"),
        ("KEYSTEAD_ATTESTATION", "enterprise"),
        ("KEYSTEAD_NAME", "x" * 61),
        ("KEYSTEAD_NAME", "a\tb"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
    ],
)
def test_what_is_not_among_the_choices_is_refused(variable: str, typed: str) -> None:
    assert variable in problems(**{variable: typed})


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.from_environ(GOOD).name = "Other"  # type: ignore[misc]  # that is what is tested


@pytest.mark.parametrize(
    ("typed", "href", "text"),
    [
        ("https://help.example.com/keys?to=me", "https://help.example.com/keys?to=me", "help.example.com/keys?to=me"),
        ("http://intranet/help", "http://intranet/help", "http://intranet/help"),
        ("help@example.com", "mailto:help@example.com", "help@example.com"),
        ("mailto:help+keys@example.com", "mailto:help%2Bkeys@example.com", "help+keys@example.com"),
        ("what?%is&this@example.com", "mailto:what%3F%25is%26this@example.com", "what?%is&this@example.com"),
    ],
)
def test_help_is_a_page_or_an_e_mail_address(typed: str, href: str, text: str) -> None:
    assert Settings.from_environ(GOOD | {"KEYSTEAD_HELP": typed}).help == Help(href, text)


@pytest.mark.parametrize(
    "typed",
    ["room 12", "javascript:alert(1)", "data:text/html,help", "https://", "https://me:s3cret@example.com", "a@b@c", "x" * 201,
     "ftp://example.com", "help.example.com", "https://exam\u200bple.com", "https://[", "help@exam\u2028ple.com"],
)  # fmt: skip
def test_help_is_nothing_that_a_browser_would_run_and_nothing_that_nobody_could_follow(typed: str) -> None:
    assert problems(KEYSTEAD_HELP=typed).keys() == {"KEYSTEAD_HELP"}


def test_quotes_that_a_file_of_variables_left_standing_are_taken_away() -> None:
    settings = Settings.from_environ(GOOD | {"KEYSTEAD_SECRET_KEYS": f'"{SECRET}"', "KEYSTEAD_NAME": "'Example'", "PORT": '"80"'})
    assert (settings.secret_keys, settings.name, settings.port) == ((SECRET,), "Example", 80)
    named = '"Example" <keystead@example.com>'
    assert Settings.from_environ(GOOD | {"KEYSTEAD_MAIL_FROM": named}).mail_from == named
    assert "is not set" in problems(KEYSTEAD_MAIL='""')["KEYSTEAD_MAIL"]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "10.0.0.0/7", "10.0.0.5, 0.0.0.0/1"])
def test_a_network_that_holds_half_the_world_is_nobodys_proxy(network: str) -> None:
    assert "can pretend to come from anywhere" in problems(KEYSTEAD_TRUSTED_PROXIES=network)["KEYSTEAD_TRUSTED_PROXIES"]


@pytest.mark.parametrize(("typed", "read"), [("", ""), ("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("localhost", "localhost")])
def test_where_to_listen(typed: str, read: str) -> None:
    assert Settings.from_environ(GOOD | {"KEYSTEAD_LISTEN": typed}).listen == read


@pytest.mark.parametrize("typed", ["0.0.0.0:8000", "eth0", "*"])
def test_where_to_listen_is_an_address_without_a_port(typed: str) -> None:
    assert "the port stands in PORT" in problems(KEYSTEAD_LISTEN=typed)["KEYSTEAD_LISTEN"]


@pytest.mark.parametrize("typed", ["auto", "0", "2.5", "-1"])
def test_a_number_of_processes_is_one(typed: str) -> None:
    assert "one for each core is usual" in problems(WEB_CONCURRENCY=typed)["WEB_CONCURRENCY"]


def test_what_seals_is_verified_by_retired_secrets_too() -> None:
    old = SECRET[::-1]
    settings = Settings.from_environ(GOOD | {"KEYSTEAD_RETIRED_KEYS": old})
    assert (settings.secret_keys, settings.sealing_keys) == ((SECRET,), (SECRET, old))
    assert old not in repr(settings)
    assert "at least 32" in problems(KEYSTEAD_RETIRED_KEYS="short")["KEYSTEAD_RETIRED_KEYS"]
