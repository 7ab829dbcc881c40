"""An HTTPS server of Python's own that keeps what it is sent, for the suites that receive."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """Answers with what `status_of(path, number)` says (201 when it is left out), and keeps every request."""

    def __init__(self, authority, status_of=lambda path, number: 201):
        super().__init__(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.origin = f"https://127.0.0.1:{self.server_port}"
        self.status_of = status_of
        self.received = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def on(self, path):
        return [(headers, body) for at, headers, body in self.received if at == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, self.headers, body))
        self.send_response(self.server.status_of(self.path, len(self.server.on(self.path))))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass
