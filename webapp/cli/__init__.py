"""The keystead command: what a deployer types. Never takes a password as an argument, where other people could see it.

Everything heavy is imported inside the command that needs it, so that `keystead --help` answers at once.
"""

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from webapp import __version__
from webapp.cli import accounts, apps, backend, events, helpdesk, importing, invitations, keys, moving, removal
from webapp.cli.running import Refused, run

if TYPE_CHECKING:
    from webapp.accounts.context import Context
    from webapp.settings import Settings

GRACE = 8
"""Seconds that requests in flight get to end in; platforms kill after ten."""


QUIET: dict[str, Any] = {
    "http": "webapp.web.protocol:BoundedProtocol",
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,
    "ws": "none",
    "lifespan": "on",
}
"""How uvicorn is run: with bounds, without trust in a proxy, without its name, and without a line that could hold a token."""


class _Main(click.Group):
    """Says how an id is given that begins like an option."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as unknown:
            text = f"{unknown.message} What begins with - and is no option is given behind -- and a blank."
            raise click.NoSuchOption(unknown.option_name, text, unknown.possibilities, unknown.ctx) from None


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="keystead %(version)s")
def main() -> None:
    """Keystead: an Account Center where a bound U2F security key is needed to log on.

    Settings come from the environment (KEYSTEAD_…); the README lists them.
    """


@main.command()
@click.option("--host", help="The address to listen on. [default: KEYSTEAD_LISTEN; else 127.0.0.1, or all where PORT is set]")
@click.option("--workers", type=click.IntRange(1), help="Processes. [default: WEB_CONCURRENCY, or 1]")
def serve(host: str | None, workers: int | None) -> None:
    """Serve the Account Center on PORT."""
    import logging.config

    import uvicorn

    from webapp import logs
    from webapp.cli import listening

    settings = _checked()
    workers = workers or settings.web_concurrency
    place = listening.place(settings, os.environ, host)
    listening.must_be_free(place)
    logging.config.dictConfig(logs.config(settings.logs))
    logs.write(logging.getLogger("keystead"), logging.INFO, f"listens on {place}: {place.why}", processes=workers)
    with _counting_together(settings, workers):
        uvicorn.run(
            "webapp.app:from_environ",
            factory=True,
            host=place.host,
            port=place.port,
            workers=workers,
            timeout_graceful_shutdown=GRACE,
            log_config=logs.config(settings.logs),
            **QUIET,
        )


@main.command("demo")
@click.option(
    "--port",
    envvar="PORT",
    type=click.IntRange(1, 65535),
    help="The port to listen on. [default: PORT, or the first free from 8000]",
)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep everything in this folder.")
def run_demo(port: int | None, keep: Path | None) -> None:
    """Try Keystead: a temporary installation with one account, whose mail is shown here."""
    from webapp.cli import demo

    demo.run(port, keep)


@main.command()
@click.option("--mail", "mail_to", metavar="ADDRESS", help="Send a mail to this address.")
@click.option("--url", help="Where to look for the running server. [default: KEYSTEAD_PUBLIC_URL]")
@click.option("--app", metavar="URL", help="Look at this app, too: whether its proxy lets in whom it should, and nobody else.")
@click.option("--free", metavar="MB", default=500, show_default=True, type=click.IntRange(0), help="How much disk must be free.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON.")
def doctor(mail_to: str | None, url: str | None, app: str | None, free: int, as_json: bool) -> None:
    """Look at this deployment, and say what is wrong and what to do. Ends with status 1 if anything is.

    Run it with the variables that the server has, as the user that it runs as.
    """
    from webapp import doctor as practice
    from webapp.doctor import report
    from webapp.doctor.finding import Options

    findings = asyncio.run(practice.examine(os.environ, Options(mail_to=mail_to, url=url, app=app, free=free)))
    click.echo(report.as_json(findings) if as_json else report.as_text(findings))
    sys.exit(any(finding.state == "wrong" for finding in findings))


@main.command()
def secret() -> None:
    """Make a secret for KEYSTEAD_SECRET_KEYS."""
    click.echo(secrets.token_urlsafe(32))


for command in (
    removal.remove, removal.export, importing.import_accounts, invitations.invite, invitations.list_invitations,
    invitations.withdraw,
):  # fmt: skip
    accounts.account.add_command(command)
for command in (accounts.account, keys.key, apps.app, helpdesk.helpdesk, moving.moved_file, backend.backend, events.events):
    main.add_command(command)


@contextmanager
def _counting_together(settings: "Settings", workers: int) -> "Iterator[None]":
    """A folder in which workers add up what they count, until they have stopped. One worker needs none."""
    from webapp.metrics import SHARED

    if workers == 1 or not settings.metrics or SHARED in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="keystead-metrics-") as folder:
        os.environ[SHARED] = folder
        yield


def _checked() -> "Settings":
    """The settings, once a backend and a mailer could be opened with them: what cannot work is said before a worker starts."""

    async def work(ctx: "Context") -> "Settings":
        from webapp.notifications.mail import MailFailed, open_mailer

        settings = ctx.settings

        try:
            open_mailer(settings)
        except MailFailed as failed:
            raise Refused(f"KEYSTEAD_MAIL: {failed}") from None
        if left := settings.left_behind(await ctx.backend.rp_ids()):
            raise Refused(f"KEYSTEAD_PUBLIC_URL: {left}")
        return settings

    return run(work)
