"""The deployer's own colour and logo, which are served beside the files that we ship."""

from starlette.responses import Response

from webapp.web import guards
from webapp.web.state import Request


@guards.anyone
async def made(request: Request) -> Response:
    """The style sheet or picture that the last part of the path names; there is a route for each that there is."""
    file = request.state.settings.made[request.url.path.rpartition("/")[2]]
    return Response(file.content, media_type=file.media_type)
