"""`keystead moved-file`: what a domain that the site moved from is to serve."""

import os

import click

from webapp.cli.running import in_plain_words


@click.command("moved-file")
def moved_file() -> None:
    """Print the file by which an earlier domain lets its keys be used here.

    Each host of KEYSTEAD_MOVED_FROM serves it over https as /.well-known/webauthn, as application/json.
    """
    from webapp.settings import Settings
    from webapp.webauthn import related_origins

    with in_plain_words():
        settings = Settings.from_environ(os.environ)
    click.echo(related_origins.file(settings))
    for domain in related_origins.needed(settings):
        click.echo(f"To be served as https://{domain}{related_origins.PATH}", err=True)
