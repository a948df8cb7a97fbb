# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers that answer as a test wants it, and a certificate authority of our own."""
import http.server
import socket
import ssl
import subprocess
import threading


class Authority:
    """openssl's CA; certificates that are good, of another name, expired, and of nobody we know."""

    def __init__(self, directory):
        self.directory = directory
        self.file = self._ca("ca")
        self._ca("stranger")
        self.good = self._certificate("good", "good.test", "ca", 30)
        self.expired = self._certificate("expired", "expired.test", "ca", -1)
        self.strange = self._certificate("strange", "good.test", "stranger", 30)

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def _key(self, name):
        self._run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def _ca(self, name):
        self._key(name)
        self._run("req", "-x509", "-key", f"{name}.key", "-subj", f"/CN=pinhold test {name}", "-days",
                  "30", "-out", f"{name}.pem", "-addext", "keyUsage=critical,keyCertSign")
        return str(self.directory / f"{name}.pem")

    def _certificate(self, name, host, ca, days):
        self._key(name)
        self._run("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={host}", "-out", f"{name}.csr")
        (self.directory / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\n", encoding="ascii")
        self._run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                  "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext", "-out",
                  f"{name}.pem")
        return str(self.directory / f"{name}.pem"), str(self.directory / f"{name}.key")


class Request:
    def __init__(self, handler):
        self.method, self.path = handler.command, handler.path
        self.headers = handler.headers
        length = int(handler.headers.get("Content-Length") or 0)
        self.body = handler.rfile.read(length).decode()


class WebServer:
    """`answer(request)` returns (status, headers, body); `requests` are those that came."""

    def __init__(self, certificate=None, address=("127.0.0.1", 0)):
        self.requests = []
        self.answer = lambda request: (200, {}, "fine")
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self):
                request = Request(self)
                server.requests.append(request)
                status, headers, body = server.answer(request)
                data = body if isinstance(body, bytes) else body.encode()
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(data))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _any

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # the client has gone, or refused our certificate

        self._server = Server(address, Handler)
        self.port = self._server.server_address[1]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            # The handshake belongs to the connection's own thread.
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                      do_handshake_on_connect=False)
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class RawServer:
    """Each connection goes to `talk(connection)`; what comes in is waited for first, unless listen is off."""

    def __init__(self, talk, listen=True):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._talk, self._listen = talk, listen
        self.accepted = threading.Event()
        self.done = threading.Event()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection:
            try:
                if self._listen:
                    connection.recv(65536)
                self.accepted.set()
                self._talk(connection)
            except OSError:
                pass

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def hanging():
    """Takes the request and says nothing."""
    server = RawServer(lambda connection: server.done.wait())
    return server
