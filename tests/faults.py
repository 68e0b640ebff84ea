"""A loopback HTTP server that misbehaves as it is told: for faults, never for what Kubernetes does.

    with faults.serve(faults.Reply(503), faults.Reply(200, {"kind": "Pod"})) as server:
        ...
        assert [each.path for each in server.requests] == ["/api/v1/pods", "/api/v1/pods"]

The replies are given out in order, the last one again and again; a function decides by request.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """One answer. ``body`` is text or bytes as they are, or an object to write as JSON.

    ``cut``: "before" closes the connection unanswered, "within" in the middle of the body.
    ``delay`` seconds pass before it, ``drip`` seconds between the bytes of the body.
    """

    status: int = 200
    body: Any = b""
    headers: tuple[tuple[str, str], ...] = ()
    cut: str = ""
    delay: float = 0
    drip: float = 0


class Request(NamedTuple):
    """What was asked. ``headers`` keep their repetitions; ``connection`` is the client's port."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    def all(self, name: str) -> list[str]:
        """The values of all headers of that name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, replies: tuple[Reply | Callable[[Request], Reply], ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.connections: list[Any] = []

    def get_request(self) -> Any:
        connection = super().get_request()  # an OSError here is a failed handshake, and ignored
        self.connections.append(connection[0])
        return connection

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reply_to(self, request: Request) -> Reply:
        with self.lock:
            self.requests.append(request)
            reply = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
        return reply(request) if callable(reply) else reply

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # header and body are written apart
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        port = self.client_address[1]
        request = Request(self.command, self.path, list(self.headers.items()), body, port)
        reply = self.server.reply_to(request)
        time.sleep(reply.delay)
        if reply.cut == "before":
            self.close_connection = True
            return
        content = reply.body
        if isinstance(content, str):
            content = content.encode()
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if reply.cut == "within":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif reply.drip:
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(reply.drip)
        else:
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve(
    *replies: Reply | Callable[[Request], Reply], tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """A server on a free port of the loopback, until the block ends. With ``tls`` its URL is still
    http, since names and schemes are among the things to get wrong."""
    server = Server(replies)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for connection in server.connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)


def status(code: int, reason: str = "", message: str = "", **details: Any) -> Any:
    """A Status body, as the API server writes them for errors."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }
