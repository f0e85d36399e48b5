"""The Chinese of the catalogue keeps to one register, one word for one thing, and the punctuation of its readers."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import catalogues
from webapp.languages import LOCALE

ROOT = Path(__file__).parents[1]
FILLED = "…"
WORDS = {
    r"\bsecurity key|\b[Yy]our keys?\b": "密钥",
    r"\bverification codes?\b": "验证码",
    r"\b[Rr]ecovery codes?\b": "恢复代码",
    r"\bAccount Center\b": "账号中心",
    r"\bSecurity Settings\b": "安全设置",
    r"\b[Uu]nb(?:ind|ound)\b": "解绑",
    r"\bThis was not me\b": "这不是我本人操作",
    r"\bUsername\b|\busername\b": "用户名",
    r"\b[Pp]assword\b": "密码",
}
"""What an English word is in Chinese wherever it occurs."""
OTHERS = "你|帐号|登陆|登出|令牌|口令|二次验证|备份码|注销"
"""Words that other products have for what has a word here; and the familiar address."""


def said() -> Iterator[tuple[str, str]]:
    """Each message and its Chinese, without markup."""
    for message in catalogues.read(LOCALE / "zh_CN" / "LC_MESSAGES"):
        for source in catalogues.sources(message) if message.id else ():
            yield plain(source), plain(catalogues.strings(message)[0])


def plain(text: str) -> str:
    return re.sub(r"%\(\w+\)s", FILLED, re.sub(r"<[^>]*>", "", text))


def test_one_thing_has_one_word() -> None:
    for english, chinese in said():
        for pattern, word in WORDS.items():
            assert not chinese or not re.search(pattern, english) or word in chinese, (english, chinese)
        assert not re.search(OTHERS, chinese), chinese


def test_punctuation_is_that_of_chinese_and_stands_without_blanks() -> None:
    for _, chinese in said():
        assert not re.search(r"[一-鿿…][,;:!?.()]|[,;:!?()][一-鿿]", chinese), chinese
        assert not re.search(r"\s[，。：；！？）”]|[，。：；！？（“]\s", chinese), chinese
        assert not re.search(r"[一-鿿] [一-鿿]", chinese.replace("其他设置 ", "")), chinese


def test_words_and_digits_of_other_scripts_stand_apart() -> None:
    for _, chinese in said():
        assert not re.search(r"[一-鿿][A-Za-z0-9]|[A-Za-z0-9][一-鿿]", chinese), chinese


@pytest.mark.parametrize(
    "template", sorted((ROOT / "templates").rglob("*.html")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_the_space_between_two_sentences_is_part_of_one_of_them(template: Path) -> None:
    """Chinese has none, so a template must not put one there."""
    assert re.findall(r".*endtrans %\} +(?:\{[{%]|\w).*", template.read_text(encoding="utf-8")) == []
