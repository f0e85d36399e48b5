"""The language that somebody reads us in, as they choose it at the foot of every page."""

from starlette.responses import Response

from webapp import languages
from webapp.accounts import identities
from webapp.web import cookies, guards, paths, responses
from webapp.web.state import Request


@guards.anyone
async def choose(request: Request) -> Response:
    """Back to the page, in another language: in this browser, and wherever whoever is logged on reads us, letters too."""
    form = request.state.form
    if chosen := languages.KNOWN.get(form.get("language", "")):
        if who := await guards.chooser(request):
            await who.change(identities.speak, chosen.code)
        cookies.speak(request, chosen)
    back = paths.nearest(request, paths.local(request, form.get("back", "")))
    return responses.go_to(request, back or responses.url(request, "account.root"))
