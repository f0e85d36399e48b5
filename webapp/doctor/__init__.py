"""`keystead doctor`: looks at a deployment as it stands, and says in plain words what is wrong and what to do about it.

It changes nothing that stays, and needs nothing but what the deployment itself needs: a check that cannot be made from here
says so, and is no fault. What it tells holds no secret.
"""

from collections.abc import Mapping

from webapp.doctor import apps, environment, moved, outside, people, post, records, rotated
from webapp.doctor.finding import Check, Context, Finding, Options, unchecked, wrong
from webapp.settings import Settings

CHECKS: tuple[Check, ...] = (
    Check("secrets", ("KEYSTEAD_SECRET_KEYS", "KEYSTEAD_METRICS"), environment.secrets),
    Check("address", ("KEYSTEAD_PUBLIC_URL",), environment.address),
    Check("help", ("KEYSTEAD_HELP",), environment.help),
    Check("sessions", ("KEYSTEAD_SESSION_IDLE", "KEYSTEAD_SESSION_LIFETIME"), environment.durations),
    Check("processes", ("WEB_CONCURRENCY",), environment.processes),
    Check("joining", ("KEYSTEAD_JOIN",), environment.joining),
    Check("backend", ("KEYSTEAD_BACKEND",), records.backend),
    Check("files", ("KEYSTEAD_BACKEND", "KEYSTEAD_MAIL"), records.files),
    Check("disk", ("KEYSTEAD_BACKEND",), records.disk),
    Check("clock", ("KEYSTEAD_BACKEND",), records.clock),
    Check("keys", ("KEYSTEAD_BACKEND", "KEYSTEAD_PUBLIC_URL", "KEYSTEAD_MOVED_FROM"), records.keys),
    Check("moved", ("KEYSTEAD_PUBLIC_URL", "KEYSTEAD_MOVED_FROM"), moved.domains),
    Check("rotation", ("KEYSTEAD_BACKEND", "KEYSTEAD_SECRET_KEYS", "KEYSTEAD_RETIRED_KEYS"), rotated.secrets),
    Check("accounts", ("KEYSTEAD_BACKEND", "KEYSTEAD_SECRET_KEYS", "KEYSTEAD_RETIRED_KEYS", "KEYSTEAD_PREVIEW"), people.accounts),
    Check("events", ("KEYSTEAD_BACKEND", "KEYSTEAD_EVENTS_KEPT"), people.events),
    Check("letters", ("KEYSTEAD_BACKEND",), people.letters),
    Check("mail", ("KEYSTEAD_MAIL", "KEYSTEAD_MAIL_FROM", "KEYSTEAD_PUBLIC_URL"), post.mail),
    Check("server", ("KEYSTEAD_PUBLIC_URL", "KEYSTEAD_SECRET_KEYS"), outside.server),
    Check("app", ("KEYSTEAD_BACKEND", "KEYSTEAD_PUBLIC_URL", "KEYSTEAD_SECRET_KEYS"), apps.app),
)
"""What is looked at, in this order, once the settings were read; and which of them a check cannot do without."""


async def examine(environ: Mapping[str, str], options: Options) -> list[Finding]:
    """All findings, those about the settings first."""
    problems = environment.problems(environ)
    findings = environment.settings(environ, problems)
    ctx = Context(Settings.from_environ(environment.mended(environ, problems)), options)
    for check in CHECKS:
        findings += [finding.of(check.name) for finding in await _looked(check, ctx, problems)]
    return findings


async def _looked(check: Check, ctx: Context, problems: Mapping[str, str]) -> list[Finding]:
    """What this check finds; or why it cannot be made."""
    if missing := [variable for variable in check.needs if variable in problems]:
        return [unchecked(f"It needs {' and '.join(missing)}, which must be set right first.")]
    try:
        return await check.look(ctx)
    except PermissionError as error:
        return [unchecked(f"This user may not look at {error.filename}: run doctor as the user that Keystead runs as.")]
    except OSError as error:
        todo = "See that the settings name what this machine can have there, and that its disk is sound."
        return [wrong(f"{error.filename or 'It'} cannot be looked at: {error.strerror or error}.", todo)]
