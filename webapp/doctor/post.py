"""Mail: whether the server takes letters from us. Sends one only if it was asked to."""

from webapp.doctor.finding import Context, Finding, ok, wrong
from webapp.notifications.mail import Letter, MailFailed, open_mailer

_WORDS = "This mail was sent by `keystead doctor`, to see whether mail arrives. Nothing is to be done."


async def mail(ctx: Context) -> list[Finding]:
    """Whether mail can leave: the server is reached, secured and logged on to; with an address, that a letter is accepted."""
    settings, to = ctx.settings, ctx.options.mail_to
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


def _todo(reason: str) -> str:
    """What mends it, by what the mailer says."""
    todos = {
        "certificate": "Name the server as its certificate does; SSL_CERT_FILE names an authority of your own.",
        "refused the username": "Look at username and password in KEYSTEAD_MAIL; special characters are percent-encoded.",
        "offers no TLS": "A password is sent over TLS only. Use the server's port with STARTTLS (587), or smtps:// (465).",
        "outbox": "Give the folder to the user that runs Keystead.",
        "refused the recipient": "Try another address, or ask whoever runs the mail server.",
        "refused the sender": "Set KEYSTEAD_MAIL_FROM to an address that this server may send for.",
    }
    general = "Look at host and port in KEYSTEAD_MAIL (587 for smtp://, 465 for smtps://), and let this machine reach them."
    return next((todo for word, todo in todos.items() if word in reason), general)
