"""`keystead account import`: accounts from elsewhere. Says what it would do before it does it, and never what a field holds."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webapp.cli.accounts import in_groups
from webapp.cli.running import away, run

if TYPE_CHECKING:
    from webapp.accounts.context import Context
    from webapp.accounts.foreign_accounts import Fault, Format
    from webapp.accounts.imports import Plan, Rules

NAMES = {"csv": "CSV", "htpasswd": "htpasswd", "django": "Django's dumpdata", "jsonl": "JSON lines"}
REASONS = {
    "unreadable": "this cannot be read.",
    "cut off": "the file ends here, in the middle of its list.",
    "no column username": "the first line must name the columns: username, email, password.",
    "another number of columns": "it has another number of columns than the first line.",
    "no username": "there is no username.",
    "username": "the username is none: use 1 to 64 printable characters.",
    "no address": "there is no e-mail address; `--domain example.com` makes one of the username.",
    "address": "the e-mail address is none.",
    "twice": "line {of} has the same username.",
    "taken": "there is an account of that name already, with another e-mail address.",
    "unknown": "the password is no hash of a kind that is known; `--reset-others` has them ask for a new one.",
    "damaged": "the hash of the password is damaged; `--reset-others` has them ask for a new one.",
    "costly": "to check the password would take too much memory or time; `--reset-others` has them ask for a new one.",
    "needs bcrypt": "the password is hashed with bcrypt, which is not installed: pip install bcrypt, for the server as well.",
}
NAMED = 10
"""How many who share an address are named."""


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(list(NAMES)), help="What the file is. [default: what it looks like]")
@click.option("--domain", default="", help="Where there is no e-mail address, it is USERNAME@DOMAIN.")
@click.option("--group", "groups", multiple=True, help="Put all of them into this group. Can be repeated.")
@click.option("--reset-others", is_flag=True, help="Import those whose password cannot be kept, too: they must set a new one.")
@click.option("--no-letters", is_flag=True, help="Do not mail to those who must set a new password.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def import_accounts(
    file: Path,
    form: "Format | None",
    domain: str,
    groups: tuple[str, ...],
    reset_others: bool,
    no_letters: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Import accounts from FILE: CSV, htpasswd, Django's dumpdata, or JSON lines. All of them, or none if any row is wrong.

    People log on with the passwords that they have, where these are hashed with argon2, bcrypt, scrypt or PBKDF2. Who is here
    already stays as they are, so that an import that was interrupted can be repeated.
    """
    from webapp.accounts.imports import Rules

    text = _text(file)
    form = form or _guessed(file, text)
    rules = Rules(domain=domain, reset_others=reset_others, tell=not no_letters, groups=in_groups(groups))
    planned = run(lambda ctx: _planned(ctx, text, form, rules))
    click.echo(f"{file.name}, read as {NAMES[form]}:")
    for line in _report(planned, rules):
        click.echo(line)
    if planned.faults:
        _refuse(planned.faults)
    if dry_run or not planned.new:
        return click.echo("Nothing was done.")
    if not yes:
        click.confirm(f"Import {_accounts(len(planned.new))}?", abort=True)
    return _carry_out(planned, rules)


async def _planned(ctx: "Context", text: str, form: "Format", rules: "Rules") -> "Plan":
    from webapp.accounts import foreign_accounts, imports

    return await imports.plan(ctx, foreign_accounts.read(text, form), rules)


def _carry_out(planned: "Plan", rules: "Rules") -> None:
    from backends.protocol import Unavailable
    from webapp.accounts import imports

    so_far = 0

    def tell(done: int) -> None:
        nonlocal so_far
        so_far = done
        if sys.stderr.isatty():
            click.echo(f"\r{done:,} of {len(planned.new):,}", nl=done == len(planned.new), err=True)

    async def work(ctx: "Context") -> list[int]:
        try:
            return await imports.carry_out(ctx, planned, rules, tell)
        except Unavailable as unavailable:
            again = "Do the same again: who is here stays as they are."
            raise click.ClickException(f"{away(unavailable)} {_accounts(so_far)} came in. {again}") from None

    taken = run(work)
    click.echo(f"Imported {_accounts(so_far)}.")
    if taken:
        _refuse([_taken(line) for line in taken], "These were not imported: somebody else took their usernames meanwhile.")


def _taken(line: int) -> "Fault":
    from webapp.accounts.foreign_accounts import Fault

    return Fault(line, "taken")


def _report(planned: "Plan", rules: "Rules") -> Iterator[str]:
    """What would be done, in numbers."""
    kinds = planned.kinds()
    must_reset = kinds.pop("", 0)
    told = "and are told by mail" if rules.tell else "and are not told"
    yield f"{len(planned.new):>8,}  new"
    for kind, number in kinds.most_common():
        yield f"{number:>10,}  keep their passwords ({kind})"
    if must_reset:
        yield f"{must_reset:>10,}  must ask for a new password, {told}"
    if planned.there:
        yield f"{planned.there:>8,}  here already: they stay as they are"
    if planned.inactive:
        yield f"{planned.inactive:>8,}  not active: left out"
    if planned.sharing:
        names = ", ".join(planned.sharing[:NAMED]) + (", …" if len(planned.sharing) > NAMED else "")
        yield f"{len(planned.sharing):>8,}  share an e-mail address, so that they log on by username only: {names}"


def _refuse(faults: "list[Fault]", because: str = "Nothing was imported.") -> None:
    for fault in faults:
        click.echo(f"Line {fault.line}: {REASONS[fault.kind].format(of=fault.of)}")
    raise click.ClickException(f"{len(faults):,} {'row' if len(faults) == 1 else 'rows'} cannot be imported. {because}")


def _text(file: Path) -> str:
    data = file.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise click.ClickException(f"Line {line}: this is no UTF-8. Save the file as UTF-8. Nothing was imported.") from None


def _guessed(file: Path, text: str) -> "Format":
    from webapp.accounts import foreign_accounts

    found = foreign_accounts.guess(text)
    if found is None:
        raise click.ClickException(f"{file} looks like none of {', '.join(NAMES.values())}. Say which it is: --format")
    return found


def _accounts(number: int) -> str:
    return f"{number:,} {'account' if number == 1 else 'accounts'}"
