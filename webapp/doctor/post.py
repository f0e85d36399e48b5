"""Mail: whether the server takes letters from us. Sends one only if it was asked to."""

from email.utils import parseaddr
from urllib.parse import urlsplit

from webapp.doctor.finding import Context, Finding, ok, wrong
from webapp.notifications.mail import Letter, MailFailed, open_mailer
from webapp.settings import Settings

_WORDS = "This mail was sent by `keystead doctor`, to see whether mail arrives. Nothing is to be done."


async def mail(ctx: Context) -> list[Finding]:
    """Whether mail can leave: the server is reached, secured and logged on to; with an address, that a letter is accepted."""
    settings, to = ctx.settings, ctx.options.mail_to
    if fault := _unanswerable(settings) or _mixed_up(settings):
        return [fault]
    outbox = settings.mail.startswith("outbox:")
    if outbox and not settings.local:
        text = "Mails are put into a folder, and nobody gets one: without a code nobody can bind a key."
        return [wrong(text, "Set KEYSTEAD_MAIL to a mail server: smtp://user:password@host:587")]
    try:
        mailer = open_mailer(settings)
        await mailer.reach()
        if to:
            await mailer.send(
                Letter(to=to, subject=f"Mail from {settings.name} arrives", text=f"{_WORDS}\n", html=f"<p>{_WORDS}</p>\n")
            )
    except MailFailed as failed:
        return [wrong(f"No mail can leave: {failed}.", _todo(str(failed)))]
    if to:
        return [ok(f"A mail to {to} was accepted. See whether it arrives, and not as spam.")]
    return [ok("The outbox can be written." if outbox else "The mail server takes our letters. (`--mail ADDRESS` sends one.)")]


def _unanswerable(settings: Settings) -> Finding | None:
    """A sender that no other machine knows: mail from it is spam, or is not taken at all."""
    domain = parseaddr(settings.mail_from)[1].rpartition("@")[2].rstrip(".").lower()
    if settings.local or ("." in domain and not domain.endswith((".localhost", ".localdomain", ".local"))):
        return None
    text = f"Mails are from @{domain}, which is no address for anybody else: most mail servers refuse it, or call it spam."
    return wrong(text, "Set KEYSTEAD_MAIL_FROM to an address of your own domain, such as keystead@example.com.")


def _mixed_up(settings: Settings) -> Finding | None:
    """A port that speaks the other way: one waits for the other until both give up."""
    parts = urlsplit(settings.mail)
    if (parts.scheme, parts.port) == ("smtp", 465):
        return wrong(
            "On port 465 mail servers speak TLS from the start, and smtp:// does not.", "Write smtps:// in KEYSTEAD_MAIL."
        )
    if (parts.scheme, parts.port) in (("smtps", 587), ("smtps", 25)):
        text = f"On port {parts.port} mail servers begin without TLS, and smtps:// does not."
        return wrong(text, "Write smtp:// in KEYSTEAD_MAIL: it goes on with STARTTLS.")
    return None


def _todo(reason: str) -> str:
    """What mends it, by what the mailer says."""
    todos = {
        "certificate": "Name the server as its certificate does; SSL_CERT_FILE names an authority of your own.",
        "refused the username": "Look at username and password in KEYSTEAD_MAIL; special characters are percent-encoded.",
        "offers no TLS": "A password is sent over TLS only. Use the server's port with STARTTLS (587), or smtps:// (465).",
        "outbox": "Give the folder to the user that runs Keystead.",
        "mail can be sent to": "Give --mail an address such as you@example.com.",
        "refused the recipient": "Try another address, or ask whoever runs the mail server.",
        "refused the sender": "Set KEYSTEAD_MAIL_FROM to an address that this server may send for.",
    }
    general = "Look at host and port in KEYSTEAD_MAIL (587 for smtp://, 465 for smtps://), and let this machine reach them."
    return next((todo for word, todo in todos.items() if word in reason), general)
