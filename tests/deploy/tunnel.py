"""A way for browsers to hosts on port 443 without being root: a proxy that knows where on this machine each host is."""

import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

SECONDS = 15


@contextmanager
def tunnel(ports: Mapping[str, int]) -> Iterator[int]:
    """The port of a proxy that connects to these hosts, whatever port of them is asked for, and to nothing else."""

    class Tunnel(socketserver.StreamRequestHandler):
        timeout = SECONDS
        disable_nagle_algorithm = True

        def handle(self) -> None:
            host = self.rfile.readline().decode("latin-1").partition(" ")[2].partition(":")[0]
            while self.rfile.readline().strip():
                pass
            if host not in ports:
                self.wfile.write(b"HTTP/1.1 502 Unknown here\r\n\r\n")
                return
            try:
                with socket.create_connection(("127.0.0.1", ports[host]), SECONDS) as there:
                    there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                    back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
                    back.start()
                    _pump(self.connection, there)
                    back.join()
            except OSError:
                return  # nobody is there (any more)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
