"""An app that knows nothing of Keystead: it tells what it was sent, and repeats what comes by a websocket. `mirror.py PORT`.

`answering` is the same on a thread, in the place of Keystead: for tests that look at what a proxy asks, or that answer wrongly.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Seen = dict[str, Any]
Answer = tuple[int, Mapping[str, str]]


class Mirror(BaseHTTPRequestHandler):
    """Answers whatever the method is; a connection may be used again."""

    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        """One request."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
        elif self.headers.get("upgrade", "").lower() == "websocket":
            self._talk()
        else:
            body = self._body()
            self.answer({"method": self.command, "path": self.path, "body": len(body), "headers": self.headers.items()})

    def answer(self, seen: Seen) -> None:
        """What was seen, with the status that is asked for, as in `/says/404`."""
        status = int(seen["path"][-3:]) if seen["path"].startswith("/says/") else 200
        self.give(status, {"Content-Type": "text/plain"}, json.dumps(seen).encode())

    def give(self, status: int, headers: Mapping[str, str], text: bytes = b"") -> None:
        """This answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while trailer := self.rfile.readline().strip():  # some take what stands behind a body for a header (RFC 9112 §7.1.2)
            name, _, value = trailer.decode("latin-1").partition(":")
            self.headers[name] = value.strip()
        return b"".join(pieces)

    def _talk(self) -> None:
        self.close_connection = True
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.wfile.write(json.dumps(self.headers.items()).encode() + b"\n")
        while line := self.rfile.readline():
            self.wfile.write(line)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def answering(port: int, judge: Callable[[Seen], Answer], body: bytes = b"") -> Iterator[list[Seen]]:
    """Everything that was asked at this port, which gets these answers, each with this body."""
    asked: list[Seen] = []

    class Judge(Mirror):
        def answer(self, seen: Seen) -> None:
            asked.append(seen)
            status, headers = judge(seen)
            self.give(status, {"Connection": "close", **headers}, body)

    with ThreadingHTTPServer(("127.0.0.1", port), Judge) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield asked
        server.shutdown()


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Mirror) as server:
        server.daemon_threads = True
        server.serve_forever()
