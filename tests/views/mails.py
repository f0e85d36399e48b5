"""What was mailed, once everything that is owed has gone."""

import re
from email.message import EmailMessage

from webapp.testing.mailbox import address, text_of
from webapp.testing.site import Site


def settle(site: Site) -> None:
    """Return once no letter is on its way."""
    site.call(site.state["sender"].settle)


def look(site: Site) -> None:
    """As if the moment had come at which the sender looks for what is due."""
    site.call(site.state["sender"].look)
    settle(site)


def mails(site: Site, to: str | None = None) -> list[EmailMessage]:
    """Everything that was mailed (to this address), newest first."""
    settle(site)
    return [mail for mail in site.mailbox.mails() if to in (None, address(mail))]


def subjects(site: Site, to: str | None = None) -> list[str]:
    """The subjects, newest first, without the site's name."""
    return [str(mail["subject"]).removeprefix(site.settings.name).lstrip(":： ") for mail in mails(site, to)]


def about(site: Site, subject: str) -> list[str]:
    """The texts of the mails with this subject, newest first."""
    return [text_of(mail) for mail in mails(site) if str(mail["subject"]).endswith(f": {subject}")]


def links_in(site: Site, path: str) -> list[str]:
    """The mailed links to this page, from its path on, newest first."""
    text = "\n".join(text_of(mail) for mail in mails(site))
    return re.findall(rf"{re.escape(site.settings.public_url)}({path}\?token=\S+)", text)


def link_in(site: Site, path: str) -> str:
    """The newest mailed link to this page."""
    found = links_in(site, path)
    assert found, f"no mail has a link to {path}"
    return found[0]


def token_in(site: Site, path: str) -> str:
    """What the newest mailed link to this page is signed with."""
    return link_in(site, path).partition("token=")[2]
