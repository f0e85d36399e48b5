"""Files of accounts as other software writes them, and whatever else somebody takes for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.foreign import MADE
from webapp.accounts import foreign_accounts
from webapp.accounts.foreign_accounts import FORMATS, Fault, Format, Row

HASH = MADE["bcrypt 2y"]
DJANGO = [
    {"model": "auth.group", "pk": 1, "fields": {"name": "staff"}},
    {
        "model": "auth.user",
        "pk": 1,
        "fields": {"username": "anna", "email": "anna@example.com", "password": HASH, "is_active": True, "groups": [1]},
    },
    {"model": "auth.user", "pk": 2, "fields": {"username": "bert", "email": "", "password": "!x", "is_active": False}},
    {"model": "people.person", "pk": 3, "fields": {"email": "carl@example.com", "password": HASH}},
]
ROWS = [("anna", "anna@example.com", HASH, True), ("bert", "", "!x", False), ("carl@example.com", "carl@example.com", HASH, True)]


def read(text: str, form: Format | None = None) -> list[Row | Fault]:
    form = form or foreign_accounts.guess(text)
    assert form
    return list(foreign_accounts.read(text, form))


def test_a_table_names_its_columns_in_its_first_line() -> None:
    text = f'Email,Username,note,Password\nanna@example.com,anna,"two\nlines",{HASH}\n\nb@example.com, bert ,,\n'
    assert read(text) == [Row(3, "anna", "anna@example.com", HASH), Row(5, "bert", "b@example.com", "")]


@pytest.mark.parametrize(
    ("said", "active"), [("f", False), (" FALSE", False), ("0", False), ("no", False), ("t", True), ("", True)]
)
def test_who_is_not_active_is_so_in_the_words_of_databases_and_spreadsheets(said: str, active: bool) -> None:
    assert read(f"username,is_active\nanna,{said}\n") == [Row(2, "anna", "", "", active)]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_spreadsheets_put_other_things_between_columns(delimiter: str) -> None:
    text = "\r\n".join([delimiter.join(("username", "email", "hash")), delimiter.join(("anna", "a@example.com", "a,b")), ""])
    assert read(text) == [Row(2, "anna", "a@example.com", "a,b")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name,email\na,b\n", Fault(1, "no column username")),
        ("", Fault(1, "no column username")),
        ("username,email\nanna\n", Fault(2, "another number of columns")),
        ("username,email\nanna,a@example.com,more\n", Fault(2, "another number of columns")),
        ('username,email\nanna,"a\n', Fault(2, "unreadable")),
    ],
)
def test_a_table_that_is_none_says_on_which_line(text: str, fault: Fault) -> None:
    assert fault in read(text, "csv")


def test_a_file_of_apache_has_names_and_hashes() -> None:
    text = f"# people\n\nanna:{HASH}\r\nbert:{{SHA}}x:whatever\nnobody\n"
    assert read(text) == [Row(3, "anna", "", HASH), Row(4, "bert", "", "{SHA}x"), Fault(5, "unreadable")]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_dump_of_django_has_users_among_others(indent: int | None) -> None:
    found = read(json.dumps(DJANGO, indent=indent))
    assert [tuple(row[1:]) for row in found] == ROWS
    lines = json.dumps(DJANGO, indent=indent).split("\n")
    if indent:
        assert [lines[row.line - 1].strip() for row in found] == ["{", "{", "{"]
        assert '"auth.user"' in lines[found[0].line]


def test_a_dump_of_django_may_be_lines() -> None:
    found = read("\n".join(map(json.dumps, DJANGO)))
    assert [tuple(row[1:]) for row in found] == ROWS
    assert [row.line for row in found] == [2, 3, 4]


def test_a_dump_that_was_cut_off_is_no_whole_one() -> None:
    whole = json.dumps(DJANGO, indent=1)
    cut = whole[: whole.index("]", -3)].rstrip()
    assert read(cut)[0] == Fault(cut.count("\n") + 1, "cut off")
    assert read(whole[:-80])[-1].kind == "unreadable"  # type: ignore[union-attr]


def test_lines_of_json_are_rows_of_their_own() -> None:
    lines = [{"username": "anna", "email": "a@example.com", "password_hash": HASH}, {"email": "b@example.com"}]
    text = "\n".join([*map(json.dumps, lines), "", "{half", '["a"]', '{"username": 7}', "[" * 100_000])
    assert read(text) == [
        Row(1, "anna", "a@example.com", HASH),
        Row(2, "b@example.com", "b@example.com", ""),
        *(Fault(line, "unreadable") for line in (4, 5, 6, 7)),
    ]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('[{"model": "auth.user"', "django"),
        ('{"model": "auth.user", "fields": {}}', "django"),
        ('{"username": "anna"}', "jsonl"),
        ("username,email\n", "csv"),
        ("E-Mail;Username\n", "csv"),
        ("anna:$2y$", "htpasswd"),
        ("# people\n", "htpasswd"),
        ("anna\n", None),
        ("", None),
    ],
)
def test_a_file_is_known_by_how_it_begins(text: str, form: Format | None) -> None:
    assert foreign_accounts.guess(text) == form


@given(
    text=st.text(alphabet=st.sampled_from('{}[]",:;\n\r\t\0 aß$:"username,fields'), max_size=200), form=st.sampled_from(FORMATS)
)
def test_whatever_a_file_holds_each_entry_is_a_row_or_a_fault_with_its_line(text: str, form: Format) -> None:
    for entry in foreign_accounts.read(text, form):
        assert 1 <= entry.line <= max(1, text.count("\n") + text.count("\r") + 1)
