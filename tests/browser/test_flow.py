"""The whole path, as people walk it, in Chromium and in Firefox, with U2F keys."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from tests.browser import walk
from tests.browser.conftest import NewVisit, Visit
from tests.browser.live_site import Person, Site
from tests.browser.words import Say

CHINESE = {
    "Username": "用户名",
    "Password": "密码",
    "Log on": "登录",
    "Log off": "退出登录",
    "You are logged off.": "您已退出登录。",
    "Security Settings": "安全设置",
    "Other Settings": "其他设置",
    "Universal 2nd Factor": "通用第二因素（U2F）",
    "Not bound": "未绑定",
    "Bind": "绑定",
    "Finish binding in the new page": "请在新页面中完成绑定",
    "Bound successfully": "绑定成功",
    "No key has been bound yet": "尚未绑定安全密钥",
    "Send verification code to email": "发送验证码至邮箱",
    "Verification code": "验证码",
    "Submit for verification": "提交验证",
    "Bind your key": "绑定安全密钥",
    "Name of this key": "密钥名称",
    "Bind this key": "绑定此安全密钥",
    "Blue is bound": "“Blue”已绑定",
    "Get recovery codes": "获取恢复代码",
    "Your key is bound": "安全密钥已绑定",
    "Later": "稍后",
    "Unbind": "解绑",
    "Unbind Blue?": "解绑“Blue”？",
    "Cancel": "取消",
    "OK, unbind it": "确定解绑",
    "The key is unbound": "安全密钥已解绑",
}
"""What stands on this way in Chinese: as literals, so that a catalogue that lost a word is found."""


@pytest.mark.parametrize(("locale", "say"), [("en-GB", str), ("zh-CN", CHINESE.__getitem__)], ids=["English", "Chinese"])
def test_bind_in_the_new_page_then_the_key_is_needed_then_unbind_and_it_is_not(
    new_visit: NewVisit, site: Site, person: Person, locale: str, say: Say
) -> None:
    visit = new_visit(locale=locale)
    first = visit.page
    walk.log_on(first, site, person, say)
    first.get_by_role("link", name=say("Security Settings")).first.click()
    expect(first.get_by_role("heading", name=say("Other Settings"))).to_be_visible()
    expect(first.locator("#row").get_by_role("heading")).to_have_text(say("Universal 2nd Factor"))
    expect(first.get_by_text(say("Not bound"))).to_be_visible()

    with visit.context.expect_page() as opened:
        first.get_by_role("link", name=say("Bind")).click()
    second = opened.value
    expect(first.get_by_role("dialog")).to_contain_text(say("Finish binding in the new page"))
    first.bring_to_front()
    first.get_by_role("button", name=say("Bound successfully")).click()
    expect(first.get_by_role("alert")).to_contain_text(say("No key has been bound yet"))
    second.bring_to_front()
    keys = visit.keys_of(second)
    key = keys.add("u2f")
    walk.prove_by_code(second, site, person, say)
    walk.touch_to_bind(second, "Blue", say)
    expect(second.get_by_role("heading", name=say("Blue is bound"))).to_be_visible()
    expect(second.get_by_role("button", name=say("Get recovery codes"))).to_be_visible()
    first.bring_to_front()
    expect(first.get_by_role("dialog")).to_contain_text(say("Your key is bound"))
    expect(first.locator("#row")).to_contain_text("Blue")
    first.get_by_role("link", name=say("Later")).click()
    expect(first.get_by_role("dialog")).to_have_count(0)
    if not visit.firefox:  # a virtual key of Chromium belongs to one page
        visit.keys.load(visit.keys.add("u2f"), keys.stored(key)[0])
    second.close()

    walk.log_off(first, site, say)
    walk.log_on(first, site, person, say)
    walk.touch_to_log_on(first, site)

    first.goto(f"{site.url}/account/security")
    first.get_by_role("link", name=say("Unbind")).click()
    expect(first.get_by_role("dialog")).to_contain_text(say("Unbind Blue?"))
    first.get_by_role("link", name=say("Cancel")).click()
    expect(first.get_by_role("dialog")).to_have_count(0)
    expect(first.locator("#row")).to_contain_text("Blue")
    first.get_by_role("link", name=say("Unbind")).click()
    first.get_by_role("button", name=say("OK, unbind it")).click()
    expect(first.get_by_text(say("Not bound"))).to_be_visible()
    expect(first.get_by_role("status")).to_contain_text(say("The key is unbound"))

    walk.log_off(first, site, say)
    walk.log_on(first, site, person, say)
    expect(first).to_have_url(f"{site.url}/account")


def test_two_keys_and_each_of_them_opens_the_account(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    one = visit.keys.add("u2f")
    walk.bind(page, site, person, "One")
    first = visit.keys.stored(one)[0]
    visit.keys.remove(one)
    two = visit.keys.add("ctap2")
    page.goto(site.url + walk.U2F)
    walk.touch_to_bind(page, "Two")
    expect(page.get_by_role("heading", name="Two is bound")).to_be_visible()

    walk.log_off(page, site)
    walk.log_on(page, site, person)
    walk.touch_to_log_on(page, site)
    visit.keys.remove(two)
    visit.keys.load(visit.keys.add("u2f"), first)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    walk.touch_to_log_on(page, site)
    page.goto(f"{site.url}/account/security")
    expect(page.locator(".key")).to_have_count(2)
    expect(page.locator(".key", has_text="Last used")).to_have_count(2)


def test_bound_successfully_checks_and_says_when_nothing_was_bound(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    page.goto(f"{site.url}/account/security")
    with visit.context.expect_page() as opened:
        page.get_by_role("link", name="Bind").click()
    page.bring_to_front()
    page.get_by_role("button", name="Bound successfully").click()
    expect(page.get_by_role("alert")).to_contain_text("No key has been bound yet")
    page.get_by_role("button", name="I ran into a problem").click()
    expect(page.get_by_role("dialog")).to_contain_text("No mail came")
    second = opened.value
    second.bring_to_front()
    visit.keys_of(second).add("u2f")
    walk.prove_by_code(second, site, person)
    walk.touch_to_bind(second, "Blue")
    expect(second.get_by_role("heading", name="Blue is bound")).to_be_visible()
    page.bring_to_front()
    expect(page.get_by_role("dialog")).to_contain_text("Your key is bound")


def test_escape_closes_the_dialog_and_gives_the_focus_back(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Unbind").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("link", name="Unbind")).to_be_focused()


def test_a_cancelled_binding_is_explained_and_try_again_begins_afresh(visit: Visit, site: Site) -> None:
    visit.hold_touches()
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    walk.prove_by_code(page, site, person)
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    visit.fail("NotAllowedError")
    expect(page.get_by_role("alert")).to_contain_text("No key answered")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("Cancelled")
    expect(page.get_by_role("alert")).to_contain_text("Another USB port")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    visit.touch()
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()


def test_a_cancelled_logon_is_explained_and_try_again_begins_afresh(visit: Visit, site: Site) -> None:
    visit.hold_touches()
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    walk.prove_by_code(page, site, person)
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    visit.touch()
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    for name, words in (
        ("NotAllowedError", "No key of yours answered"),
        ("TimeoutError", "took too long"),
        ("SecurityError", "cannot use keys"),
        ("NotSupportedError", "cannot do that"),
        ("OperationError", "Already waiting"),
    ):
        page.goto(f"{site.url}/logon/key")
        page.get_by_role("button", name="Use my key").click()
        expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
        visit.fail(name)
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(words)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    visit.touch()
    expect(page).to_have_url(f"{site.url}/account")


def test_a_key_that_is_bound_already_is_told_apart(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    page.goto(site.url + walk.U2F)
    walk.touch_to_bind(page, "Again")
    expect(page.get_by_role("alert")).to_contain_text("This key is already bound")
    page.goto(f"{site.url}/account/security")
    expect(page.locator(".key")).to_have_count(1)


def test_the_wrong_key_at_logon_is_explained_and_the_right_one_then_opens(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    right = visit.keys.add("u2f")
    walk.bind(page, site, person)
    stored = visit.keys.stored(right)[0]
    visit.keys.remove(right)
    wrong = visit.keys.add("u2f")
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    expect(page.get_by_role("alert")).to_contain_text("No key of yours answered")
    expect(page.get_by_role("alert")).not_to_contain_text("Another USB port")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("Another USB port")
    expect(page.get_by_role("alert")).to_contain_text("Bound to this account: Blue")
    visit.keys.remove(wrong)
    visit.keys.load(visit.keys.add("u2f"), stored)
    page.get_by_role("button", name="Try again").click()
    expect(page).to_have_url(f"{site.url}/account")


def test_a_copied_key_is_refused_and_told(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    original = visit.keys.add("u2f")
    walk.bind(page, site, person)
    copy = replace(visit.keys.stored(original)[0], counter=0)
    for _ in range(2):
        walk.log_off(page, site)
        walk.log_on(page, site, person)
        walk.touch_to_log_on(page, site)
    visit.keys.remove(original)
    visit.keys.load(visit.keys.add("u2f"), copy)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    expect(page.get_by_role("alert")).to_contain_text("its counter went back")
    page.goto(f"{site.url}/account")
    expect(page).to_have_url(re.compile("/logon/key"))


def test_with_scripts_off_everything_up_to_the_ceremony_works(new_visit: NewVisit, site: Site, person: Person) -> None:
    visit = new_visit(java_script_enabled=False)
    if visit.firefox:  # over BiDi it does not know that option; our pages have no script but these files
        visit.context.route("**/static/*.js*", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page = visit.page
    walk.log_on(page, site, person)
    page.get_by_role("link", name="Security Settings").first.click()
    expect(page.get_by_role("link", name="Bind")).to_have_attribute("target", "_blank")
    page.goto(f"{site.url}{walk.U2F}/dialog")
    expect(page.get_by_text("Finish binding in the new page")).to_be_visible()
    page.get_by_role("button", name="Bound successfully").click()
    expect(page.get_by_text("No key has been bound yet")).to_be_visible()
    page.goto(site.url + walk.U2F)
    page.get_by_role("button", name="Send verification code to email").click()
    code = site.code(person)
    page.get_by_label("Verification code").fill(str((int(code) + 1) % 10**6).zfill(6))
    page.get_by_role("button", name="Submit for verification").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("4 tries left")
    page.get_by_label("Verification code").fill(code)
    page.get_by_role("button", name="Submit for verification").click()
    page.get_by_label("Name of this key").fill("Blue")
    page.get_by_role("button", name="Bind this key").click()
    expect(page.get_by_role("button", name="Touch my key now")).to_be_visible()
    assert "JavaScript is switched off" in page.content()  # Playwright's browsers do not render <noscript>
    expect(page.locator("form[data-ceremony=create] input[name=ceremony]")).to_have_count(1)
    page.goto(f"{site.url}/account")
    page.get_by_role("button", name="Log off").click()
    expect(page.get_by_text("You are logged off.")).to_be_visible()


def test_the_keyboard_alone_is_enough(visit: Visit, site: Site, person: Person) -> None:
    page = visit.page
    visit.keys.add("u2f")
    page.goto(f"{site.url}/logon")
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type(person.username)
    walk.tab_to(page, "Password")
    page.keyboard.type(person.password)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/account")
    page.goto(site.url + walk.U2F)
    walk.tab_to(page, "Send verification code to email")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Verification code")).to_be_focused()
    page.keyboard.type(site.code(person))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Bind your key")).to_be_focused()
    walk.tab_to(page, "Bind this key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Security key is bound")).to_be_visible()
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    expect(page).to_have_url(f"{site.url}/account")
    page.goto(f"{site.url}/account/security")
    walk.tab_to(page, "Unbind")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    walk.tab_to(page, "OK")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Not bound")).to_be_visible()


def test_a_reload_and_back_keep_the_step(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    page.get_by_role("button", name="Send verification code to email").click()
    expect(page.get_by_label("Verification code")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Verification code")).to_be_visible()
    page.goto(f"{site.url}/account")
    page.go_back()
    expect(page.get_by_label("Verification code")).to_be_visible()
    page.get_by_label("Verification code").fill(site.code(person))
    page.get_by_role("button", name="Submit for verification").click()
    expect(page.get_by_role("heading", name="Bind your key")).to_be_visible()
    page.reload()
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    page.go_back()
    page.goto(f"{site.url}/account/security")
    expect(page.locator(".key")).to_have_count(1)


def test_a_double_click_sends_one_mail_and_binds_one_key(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    page.get_by_role("button", name="Send verification code to email").dblclick()
    expect(page.get_by_label("Verification code")).to_be_visible()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_count(0)
    page.get_by_label("Verification code").fill(site.code(person))
    page.get_by_role("button", name="Submit for verification").dblclick()
    page.get_by_label("Name of this key").fill("Blue")
    page.get_by_role("button", name="Bind this key").dblclick()
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    page.goto(f"{site.url}/account/security")
    expect(page.locator(".key")).to_have_count(1)
    assert sum("verification code" in str(letter["Subject"]) for letter in site.letters(person)) == 1


def test_a_browser_without_webauthn_is_told_before_it_tries(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    page.goto(site.url + walk.U2F)
    walk.prove_by_code(page, site, person)
    visit.context.add_init_script("delete window.PublicKeyCredential")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("This browser cannot use security keys")
    expect(page.get_by_role("button", name="Bind this key")).to_be_hidden()


def test_a_key_is_renamed_in_place(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Rename").click()
    expect(page.get_by_label("Name of this key")).to_be_focused()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("link", name="Rename")).to_be_focused()
    page.get_by_role("link", name="Rename").click()
    page.get_by_label("Name of this key").fill("<i>Red</i> & co")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="<i>Red</i> & co")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("new name")


def test_the_code_step_counts_down_until_the_mail_can_be_sent_again(visit: Visit, site: Site) -> None:
    page = visit.page
    walk.fresh(visit, site)
    page.goto(site.url + walk.U2F)
    page.get_by_role("button", name="Send verification code to email").click()
    again = page.get_by_role("button", name="Send again")
    expect(again).to_be_disabled()
    expect(again).to_contain_text(re.compile(r"in (1:00|0:5\d)"))
    expect(again).to_contain_text(re.compile(r"in 0:5[0-8]"))
