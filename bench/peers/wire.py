"""A browser as far as a server can tell, in as few lines of Python as it takes: it shares the machine with who is measured.

Speaks HTTP/1.1 in plain to 127.0.0.1 and says what a TLS proxy in front of the server would say.
"""

import asyncio
import gzip
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
PATIENCE = 60


@dataclass(slots=True)
class Answer:
    """What came. `size` is what went over the wire, head included."""

    status: int
    head: list[tuple[str, str]]
    body: bytes
    size: int

    def header(self, name: str) -> str:
        return next((value for known, value in self.head if known == name), "")

    @property
    def text(self) -> str:
        return (gzip.decompress(self.body) if self.header("content-encoding") == "gzip" else self.body).decode()


class Connection:
    """A connection that is kept, as a proxy keeps those to the server behind it; opened anew where the server closes it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def exchange(self, request: bytes) -> Answer:
        async with asyncio.timeout(PATIENCE):
            kept = self._reader is not None
            try:
                return await self._exchange(request)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.close()
                if not kept:
                    raise
                return await self._exchange(request)  # it was closed while nobody used it

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _exchange(self, request: bytes) -> Answer:
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        answer = Answer(int(first.split()[1]), pairs, b"", len(head))
        answer.body = await _body(self._reader, answer)
        answer.size += len(answer.body)
        if answer.header("connection").lower() == "close":
            self.close()
        return answer


@dataclass(slots=True)
class Browser:
    """A browser with cookies of its own, at an address of its own."""

    origin: str
    address: str = "192.0.2.1"
    cookies: dict[str, str] = field(default_factory=dict)
    wire: Connection | None = None

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.send("GET", path, b"", headers)

    async def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> Answer:
        """A form, as a page sends it."""
        headers = {"content-type": "application/x-www-form-urlencoded", **headers}
        return await self.send("POST", path, urlencode(fields or {}).encode(), headers)

    async def post_json(self, path: str, text: str = "{}", **headers: str) -> Answer:
        """JSON, as a script sends it."""
        headers = {"content-type": "application/json", "accept": "application/json", **headers}
        return await self.send("POST", path, text.encode(), headers)

    async def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        assert self.wire is not None
        answer = await self.wire.exchange(self._request(method, path, body, headers))
        self._keep(answer)
        return answer

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        sent = {
            "host": urlsplit(self.origin).netloc,
            "user-agent": CHROME,
            "accept": "text/html",
            "accept-encoding": "gzip",
            "x-forwarded-for": self.address,
            "x-forwarded-proto": "https",
            "sec-fetch-site": "same-origin",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method == "POST":
            sent |= {"origin": self.origin, "referer": f"{self.origin}/", "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def _keep(self, answer: Answer) -> None:
        for name, value in answer.head:
            if name == "set-cookie":
                pair, _, rest = value.partition(";")
                cookie, _, content = pair.partition("=")
                self.cookies[cookie] = content
                if "max-age=0" in rest.lower():
                    del self.cookies[cookie]


async def _body(reader: asyncio.StreamReader, answer: Answer) -> bytes:
    if answer.header("transfer-encoding") == "chunked":
        return await _chunks(reader)
    if length := answer.header("content-length"):
        return await reader.readexactly(int(length))
    return b"" if answer.status in (204, 304) else await reader.read()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
