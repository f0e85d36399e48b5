"""About how many accounts there are, as the backend said within the last minutes. Never asked for by a request.

What is too much for the whole installation follows from it (`limits`): a thousand people and a hundred million mistype their
passwords differently often.
"""

from backends.protocol import Backend


class Population:
    """What was said last; 0 before."""

    def __init__(self) -> None:
        self.accounts = 0

    async def ask(self, backend: Backend) -> None:
        """Once every few minutes is enough."""
        self.accounts = await backend.size()
