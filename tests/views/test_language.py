"""In which language somebody reads us: what the browser asks for, what was chosen, and what follows the account."""

from functools import partial

import pytest

from tests.views import mails
from webapp.accounts import commits, identities, removal
from webapp.testing.mailbox import text_of
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

ENGLISH, CHINESE = ">Log on</h1>", ">登录</h1>"


def asks_for(visitor: Visitor, header: str) -> Visitor:
    visitor.client.headers["accept-language"] = header
    return visitor


def choose(visitor: Visitor, language: str, at: str = "/logon") -> str:
    """Where the switch of this page leads."""
    visitor.get(at)
    return visitor.submit("/language", language=language).headers["location"]


def test_a_page_is_in_the_language_that_the_browser_asks_for_and_says_so(keystead: Site) -> None:
    page = asks_for(keystead.visitor(), "zh-CN,zh;q=0.9").get("/logon")
    assert CHINESE in page.text
    assert '<html lang="zh-CN" ' in page.text
    assert page.headers["content-language"] == "zh-CN"
    assert {"Accept-Language", "Cookie"} <= {each.strip().title() for each in page.headers["vary"].split(",")}
    page = asks_for(keystead.visitor(), "zh-TW,zh;q=0.9").get("/logon")
    assert ENGLISH in page.text
    assert page.headers["content-language"] == "en"


def test_a_refusal_is_in_that_language_too(keystead: Site) -> None:
    page = asks_for(keystead.visitor(), "zh-CN").get("/no/such/page")
    assert (page.status_code, page.headers["content-language"]) == (404, "zh-CN")


def test_what_a_stranger_chooses_is_kept_in_this_browser_and_leads_back_to_the_page(keystead: Site) -> None:
    visitor = asks_for(keystead.visitor(), "en")
    assert choose(visitor, "zh-CN", "/logon?next=%2Faccount%2Factivity") == "/logon?next=%2Faccount%2Factivity"
    assert CHINESE in visitor.get("/logon").text
    assert choose(visitor, "en") == "/logon"
    assert ENGLISH in visitor.get("/logon").text


def test_a_form_that_was_refused_leads_back_to_the_page_that_it_stands_on(keystead: Site) -> None:
    visitor, page = keystead.visitor(), "/logon?next=%2Faccount%2Factivity"
    visitor.get(page)
    visitor.client.headers["referer"] = f"{visitor.origin}{page}"
    assert visitor.submit("/logon", username="zoe", password="wrong").status_code == 401
    assert visitor.submit("/language", language="zh-CN").headers["location"] == page


def test_a_form_on_a_page_that_answered_one_leads_back_to_a_page_that_opens(keystead: Site) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    for back, page in (("/account/email/verify", "/account/email"), ("/logoff", "/"), ("/apps/touch/begin?x", "/"), ("//x", "/")):
        assert visitor.post("/language", {"language": "zh-CN", "back": back}).headers["location"] == page


@pytest.mark.parametrize("code", ["xx", "zh-TW", "", "../en", "zh-CN; Domain=example.com", "x" * 5000, "zh-CN\r\nx: y"])
def test_nothing_but_a_language_of_ours_is_taken(keystead: Site, code: str) -> None:
    visitor = keystead.visitor()
    for back in ("//evil.example", "/logon?@\\evil.example"):
        answer = visitor.post("/language", {"language": code, "back": back})
        assert answer.headers["location"] == "/"
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("cookie", ["xx", "en-GB", "<script>", "x" * 4000])
def test_a_cookie_that_is_no_language_of_ours_counts_for_nothing(keystead: Site, cookie: str) -> None:
    visitor = asks_for(keystead.visitor(), "zh-CN")
    visitor.client.cookies.set("keystead-language", cookie)
    page = visitor.get("/logon")
    assert CHINESE in page.text
    assert cookie not in page.text


def test_the_cookie_is_of_this_site_only_and_no_script_reads_it(keystead: Site) -> None:
    answer = keystead.visitor().post("/language", {"language": "zh-CN"})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("keystead-language=zh-CN; Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax")


def test_what_somebody_chooses_who_is_logged_on_follows_the_account(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    choose(keystead_visitor, "zh-CN", "/account")
    assert keystead.read().language == "zh-CN"
    other = asks_for(keystead.visitor(address="198.51.100.7"), "en")
    other.client.cookies.set("keystead-language", "en")
    other.log_on("zoe", keystead.password)
    assert other.get("/account").headers["content-language"] == "zh-CN"


def test_whoever_has_only_the_password_changes_nothing_about_the_account(half_signed_in: Visitor, keystead: Site) -> None:
    assert choose(half_signed_in, "zh-CN", "/logon/key") == "/logon/key"
    assert keystead.read().language == ""
    assert half_signed_in.get("/logon/key").headers["content-language"] == "zh-CN"


def test_a_letter_is_in_the_language_of_the_browser_that_caused_it(keystead: Site, stub_key: StubKey) -> None:
    visitor = asks_for(keystead.visitor(), "zh-CN")
    visitor.log_on("zoe", keystead.password)
    visitor.bind(stub_key)
    assert all("时间" in text_of(mail) for mail in mails.mails(keystead))


def test_a_letter_that_the_command_line_causes_is_in_the_language_of_the_account(keystead: Site) -> None:
    account = keystead.read()
    account = keystead.call(commits.change, keystead.context, account, identities.speak, "zh-CN")
    keystead.call(commits.change, keystead.context, account, identities.set_password, account.password_hash)
    assert mails.subjects(keystead) == ["您的密码已修改"]
    assert "您账号的密码已被修改。" in text_of(mails.mails(keystead)[0])


def test_the_letter_about_a_removed_account_is_in_the_language_that_it_had(keystead: Site) -> None:
    account = keystead.call(commits.change, keystead.context, keystead.read(), identities.speak, "zh-CN")
    keystead.call(partial(commits.change, keystead.context, account, removal.remove, keep_events=False))
    assert "您的账号" in mails.subjects(keystead)[0]


def test_a_letter_is_in_the_language_of_the_site_where_nobody_chose_one(keystead: Site) -> None:
    account = keystead.read()
    keystead.call(commits.change, keystead.context, account, identities.set_password, account.password_hash)
    assert mails.subjects(keystead) == ["Your password was changed"]
