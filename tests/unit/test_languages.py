"""Which language somebody gets, and how words become theirs."""

from datetime import UTC, datetime
from typing import Any

import pytest
from jinja2 import TemplateAssertionError

from webapp import languages, templating
from webapp.languages import ENGLISH, KNOWN, Language, _, _n

CHINESE = KNOWN["zh-CN"]
MOMENT = datetime(2026, 3, 7, 23, 5, tzinfo=UTC)

HEADERS = {
    "": "en",
    "en": "en",
    "en-GB,en;q=0.9": "en",
    "zh": "zh-CN",
    "zh-CN": "zh-CN",
    "zh-cn": "zh-CN",
    "ZH-SG": "zh-CN",
    "zh-Hans": "zh-CN",
    "zh-Hans-HK": "zh-CN",
    "zh-CN,zh;q=0.9,en-US;q=0.8,en;q=0.7": "zh-CN",
    "en;q=0.4, zh-CN;q=0.9": "zh-CN",
    "en;q=0.9, zh-CN;q=0.4": "en",
    "zh-TW": "en",
    "zh-HK,zh;q=0.9": "en",
    "zh-MO, zh;q=0.5, fr;q=0.3": "en",
    "zh-Hant": "en",
    "zh-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7": "en",
    "zh-TW, zh-CN;q=0.5": "zh-CN",
    "fr": "en",
    "fr, zh-CN;q=0.1": "zh-CN",
    "de-DE,de;q=0.9,*;q=0.5": "en",
    "zh-CN;q=0": "en",
    "zh-CN;q=0, en": "en",
    "zh-CN;q=2": "en",
    "zh-CN;q=1.0000": "en",
    "zh_CN": "en",
    "zh-CN;level=1": "en",
    ";;;,,,===": "en",
    "\u4e2d\u6587": "en",
    "\x00zh-CN": "en",
    "zh-CN, " * 60: "zh-CN",
    "zh-CN," * 20_000: "en",
    "a" * 100_000: "en",
}


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[:40])
def test_a_browser_gets_the_language_that_it_asks_for(header: str) -> None:
    assert languages.choose(header, "en").code == HEADERS[header]


@pytest.mark.parametrize(("header", "code"), [("", "zh-CN"), ("fr", "zh-CN"), ("*", "zh-CN"), ("en", "en"), ("zh-TW", "en")])
def test_who_asks_for_nothing_that_we_have_gets_the_language_of_the_site(header: str, code: str) -> None:
    assert languages.choose(header, "zh-CN").code == code


def test_traditional_chinese_is_taken_once_there_is_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, "zh-TW", Language("zh-TW", "繁體中文"))
    languages._chosen.cache_clear()
    try:
        assert languages.choose("zh-HK,zh;q=0.9", "en").code == "zh-TW"
        assert languages.choose("zh-CN,zh;q=0.9", "en").code == "zh-CN"
    finally:
        languages._chosen.cache_clear()


def test_a_code_that_is_none_of_ours_is_no_language() -> None:
    assert languages.of("../../etc", "xx", "zh-CN") is CHINESE
    assert languages.of("", "fr") is ENGLISH


def test_a_text_is_said_in_the_language_in_which_it_is_shown() -> None:
    text = _("%(date)s, %(time)s UTC", date=_("March"), time="9:00")
    assert str(text) == "March, 9:00 UTC"
    assert CHINESE.say(text) != str(text)


def test_a_text_that_depends_on_a_number_has_the_form_that_goes_with_it() -> None:
    assert [str(_n("%(count)s minute", "%(count)s minutes", count)) for count in (0, 1, 2)] == [
        "0 minutes",
        "1 minute",
        "2 minutes",
    ]
    assert "minute" not in CHINESE.say(_n("%(count)s minute", "%(count)s minutes", 1))


@pytest.mark.parametrize(
    ("zone", "english", "chinese"),
    [
        (None, "7 March 2026, 23:05 UTC", "2026年3月7日 23:05（UTC）"),
        (0, "7 March 2026, 23:05 UTC", "2026年3月7日 23:05（UTC）"),
        (60, "8 March 2026, 00:05 (UTC+1)", "2026年3月8日 00:05（UTC+1）"),
        (-210, "7 March 2026, 19:35 (UTC-3:30)", "2026年3月7日 19:35（UTC-3:30）"),
    ],
)
def test_a_moment_is_written_as_people_write_it(zone: int | None, english: str, chinese: str) -> None:
    text = languages.when(MOMENT, zone)
    assert ENGLISH.say(text) == english
    assert CHINESE.say(text) == chinese


@pytest.mark.parametrize(
    ("seconds", "said"), [(1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (61, "2 minutes"), (9000, "3 hours")]
)
def test_how_long_something_lasts_is_said_rather_too_long(seconds: int, said: str) -> None:
    assert str(languages.lasting(seconds)) == said


# templates


def rendered(language: Language, source: str, *, html: bool = True, **context: object) -> str:
    environment = templating.Translated(language)
    environment.autoescape = html
    return environment.from_string(source).render(context)


def test_words_of_a_template_are_translated_when_it_is_compiled() -> None:
    source = '<p title="{{ _("Log off") }}">{% trans %}Log on{% endtrans %}</p>'
    assert rendered(ENGLISH, source) == '<p title="Log off">Log on</p>'
    assert rendered(CHINESE, source) == '<p title="退出登录">登录</p>'
    assert "gettext" not in templating.Translated(CHINESE).compile(source, raw=True)


def test_what_stands_beside_each_other_in_a_template_is_one_piece() -> None:
    assert "<p>Log on</p>" in templating.Translated(ENGLISH).compile("<p>{% trans %}Log on{% endtrans %}</p>", raw=True)


def test_what_is_filled_in_is_escaped_and_translated_in_blocks_and_in_expressions() -> None:
    context: dict[str, Any] = {"name": "<b>", "text": _("Log on %(n)s", n="&")}
    for source in (
        "{% trans %}A {{ name }}, 100% {{ text }}{% endtrans %}",
        "{{ _('A %(name)s, 100%% %(text)s', name=name, text=text) }}",
    ):
        assert rendered(ENGLISH, source, **context) == "A &lt;b&gt;, 100% Log on &amp;"
        assert rendered(ENGLISH, source, html=False, **context) == "A <b>, 100% Log on &"


def test_a_template_has_the_form_that_goes_with_the_number() -> None:
    block = "{% trans count=n %}<b>{{ count }}</b> key of {{ x }}{% pluralize %}<b>{{ count }}</b> keys of {{ x }}{% endtrans %}"
    assert rendered(ENGLISH, block, n=1, x="&") == "<b>1</b> key of &amp;"
    assert rendered(ENGLISH, block, n=2, x="&") == "<b>2</b> keys of &amp;"
    assert rendered(ENGLISH, "{{ _n('%(count)s key', '%(count)s keys', n) }}", n=1) == "1 key"


def test_only_a_text_that_stands_in_the_template_can_be_translated() -> None:
    with pytest.raises(TemplateAssertionError):
        rendered(ENGLISH, "{{ _(name) }}", name="x")


def test_columns_of_a_letter_stand_below_each_other_in_every_script() -> None:
    assert rendered(ENGLISH, "{{ 'When'|aligned(6) }}|", html=False) == "When  |"
    assert rendered(ENGLISH, "{{ '时间'|aligned(6) }}|", html=False) == "时间  |"
    assert rendered(ENGLISH, "{{ 'Longer than that'|aligned(6) }}|", html=False) == "Longer than that |"


def test_a_header_without_end_is_not_remembered() -> None:
    before = languages._chosen.cache_info().currsize
    assert languages.choose("zh-CN," * 20_000, "en") is ENGLISH
    assert languages._chosen.cache_info().currsize == before
