"""Everything that a test makes Keystead say is said in the pseudo-language too, and read: every page, panel, refusal and letter
that any test comes by, in every state that it is brought to.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import pseudo
from tests.pseudo import PSEUDO, leaks, leaks_of_text
from webapp import languages
from webapp.languages import Text
from webapp.notifications import letters
from webapp.web import responses
from webapp.web.state import Request


@contextmanager
def found() -> Iterator[None]:
    """Whatever is shown meanwhile fails its test where a word of it was not translated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(responses, "_render", _also(responses._render))
        patch.setattr(letters, "_letter", _also_letters(letters._letter))
        yield


def _also(render: Any) -> Any:
    seen: set[str] = set()

    def both(request: Request, template: str, context: dict[str, Any]) -> str:
        page = str(render(request, template, context))
        if (skeleton := _skeleton(page)) not in seen:
            seen.add(skeleton)
            before, request.state.language = request.state.language, PSEUDO
            try:
                words = leaks(render(request, template, context), _strings(context), _filled_in(context))
            finally:
                request.state.language = before
            assert not words, f"{template} has untranslated words: {words}"
        return page

    return both


def _also_letters(write: Any) -> Any:
    def both(to: Any, template: str, subject: Any, **context: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(languages, "of", lambda *codes: PSEUDO)
            letter = write(to, template, subject, **context)
        settings, named = to.settings, [*_strings(context), to.account.username, to.settings.name]
        known = set(pseudo.words(named))
        text = re.sub(r"https?://\S+|\S+@\S+", "", f"{letter.subject}\n{letter.text}")
        words = [word for word in leaks(letter.html, [settings.name]) + leaks_of_text(text) if word not in known]
        assert not words, f"{template} has untranslated words: {words}"
        return write(to, template, subject, **context)

    return both


def _skeleton(page: str) -> str:
    return re.sub(r'"[^"]*"|\d', "", page)


def _strings(context: Any) -> list[str]:
    """Everything in it that is no sentence of ours: those are Texts, of which only what is filled in counts."""
    if isinstance(context, str):
        return [context]
    if isinstance(context, Text | dict):
        return _strings(list((context.values if isinstance(context, Text) else context).values()))
    if isinstance(context, responses.Key):
        return [context.name]
    return [text for each in context for text in _strings(each)] if isinstance(context, list | tuple) else []


def _filled_in(context: dict[str, Any]) -> list[str]:
    """What stands in sentences of ours, where nothing can be put around it."""
    return _strings([value for value in context.values() if isinstance(value, Text)])
