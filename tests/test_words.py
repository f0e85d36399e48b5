"""docs/words.md is what the code says, and says it in the words of this project."""

import re
from pathlib import Path

import pytest

from tests import words

SENTENCES = [line[2:] for line in words.page().splitlines() if line.startswith("- ")]
NEVER = (
    "login", "log in", "logged in", "logout", "sign in", "signed in", "sign up", "enrol", "enroll", "backup code", "OTP", "2FA",
    "MFA", "passkey", "authenticator", "credential", "dongle", "sudo", "handshake",
)  # fmt: skip
"""What this project calls otherwise, or what a newcomer would have to look up."""


def test_the_page_of_sentences_is_what_the_code_says() -> None:
    """Make it anew with: python -m tests.words."""
    assert words.PAGE.read_text(encoding="utf-8") == words.page()
    assert len(SENTENCES) > 400


@pytest.mark.parametrize("word", NEVER)
def test_no_sentence_has_a_word_that_this_project_does_not_use(word: str) -> None:
    assert [text for text in SENTENCES if re.search(rf"\b{re.escape(word)}", text, re.IGNORECASE)] == []


def test_a_template_is_read_as_people_read_it() -> None:
    text = (
        '<h1 class="x">Hello {{ name }}</h1><p>You have {% if n %}<b>{{ n }}</b> keys{% else %}no key{% endif %}.</p>'
        '<img alt="A key">{% if x %}<p>One</p>{% endif %}<a href="{{ x }}">{{ "Try again" if y else z }}</a>'
    )
    assert [piece.strip() for piece in words.of_template(text, html=True) if piece.strip()] == [
        "Hello …", "You have [… keys | no key].", "A key", "One", "…", "Try again",
    ]  # fmt: skip


def test_strings_that_are_sentences_are_found_in_python_and_docstrings_are_not() -> None:
    source = (
        'def f(n):\n    """Returns it."""\n    x = "no sentence"\n    return {"a": "Wait a minute.", "b": f"Only {n} left."}\n'
    )
    assert list(words.of_python(source)) == ["Wait a minute.", "Only … left."]


@pytest.mark.parametrize("path", words.files(), ids=lambda path: str(path.relative_to(words.ROOT)))
def test_every_sentence_is_marked(path: Path) -> None:
    """docs/translating.md says how."""
    assert list(words.unmarked(path)) == []


def test_what_nobody_could_translate_is_found() -> None:
    template = (
        '<p title="{% trans %}Yes{% endtrans %}" aria-label="Not marked">{{ _("Yes") }}{% trans %}<b>Yes</b>{% endtrans %} but no'
        '</p>{{ m.f("Not marked", _n("%(count)s yes", "%(count)s yes", n)) }}'
    )
    assert sorted(text.strip() for text in words.unmarked_in_template(template, html=True) if text.strip()) == [
        "Not marked", "Not marked", "but no",
    ]  # fmt: skip
    source = 'x = {"a": _("Is marked."), "b": "Is not.", "c": f"Is {x} not."}'
    assert list(words.unmarked_in_python(source)) == ["Is not.", "Is … not."]
