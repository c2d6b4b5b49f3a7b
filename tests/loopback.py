"""Servers on this machine that duties are delivered to: an SMTP server, with STARTTLS if wanted, and a webhook."""

from __future__ import annotations

import base64
import http.server
import json
import socketserver
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextmanager
def _serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# -- SMTP (RFC 5321, as far as a client needs it) ----------------------------------------------------------------------


class Mailbox(socketserver.ThreadingTCPServer):
    """Takes messages. `refuses`: recipients that it does not know; `password`: who does not have it is sent away."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, *, tls=None, password=None, refuses=(), at_once=False):
        """With `tls` it offers STARTTLS, or speaks nothing else if `at_once`."""
        super().__init__(("127.0.0.1", 0), _Session)
        self.at_once = at_once
        self.tls, self.password, self.refuses = tls, password, set(refuses)
        self.messages, self.seen = [], []

    @property
    def port(self):
        return self.server_address[1]


class _Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self):
        self.encrypted, self.known, self.to = False, self.server.password is None, []
        if self.server.at_once:
            self.encrypt()
        self.say("220 here")
        while line := self.rfile.readline():
            self.server.seen.append(line)
            word, _, rest = line.decode().strip().partition(" ")
            if getattr(self, f"do_{word.lower()}", lambda _: self.say("502 unknown"))(rest) == "quit":
                return

    def finish(self):
        super().finish()
        self.request.close()

    def do_ehlo(self, _):
        offered = ["STARTTLS"] if self.server.tls and not self.encrypted else []
        offered += ["AUTH PLAIN"] if self.server.password else []
        lines = ["here", *offered]
        for line in lines[:-1]:
            self.say(f"250-{line}")
        self.say(f"250 {lines[-1]}")

    def do_starttls(self, _):
        self.say("220 go ahead")
        self.encrypt()

    def encrypt(self):
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.setup()
        self.encrypted = True

    def do_auth(self, rest):
        _, _, said = rest.partition(" ")
        password = base64.b64decode(said).split(b"\0")[2].decode()
        self.known = password == self.server.password
        self.say("235 welcome" if self.known else f"535 `{password}` is wrong")

    def do_mail(self, _):
        self.to = []
        self.say("250 ok" if self.known else "530 who are you")

    def do_rcpt(self, rest):
        address = rest.partition("<")[2].partition(">")[0]
        if address in self.server.refuses:
            self.say("550 not here")
            return
        self.to.append(address)
        self.say("250 ok")

    def do_data(self, _):
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        self.server.messages.append((self.to, message_from_bytes(b"".join(lines), policy=policy.default)))
        self.say("250 taken")

    def do_rset(self, _):
        self.say("250 ok")

    def do_quit(self, _):
        self.say("221 bye")
        return "quit"


@contextmanager
def mailbox(**how):
    with _serving(Mailbox(**how)) as server:
        yield server


def certificate(folder):
    """A certificate for this machine that signs itself: its file, and the context of a server that has it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "ca.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


# -- webhook -----------------------------------------------------------------------------------------------------------


class Hook(http.server.ThreadingHTTPServer):
    """Answers with these codes, then with the last one. `posts` are the requests: path, headers and JSON."""

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), _Post)
        self.answers, self.posts, self.bodies = list(answers), [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/hook?token=secret-token"


class _Post(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        self.server.posts.append((self.path, dict(self.headers), json.loads(body)))
        answers = self.server.answers
        code = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(code)
        if code in {302, 307}:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.do_POST()

    def log_message(self, *_):
        pass


@contextmanager
def hook(*answers):
    with _serving(Hook(*(answers or (200,)))) as server:
        yield server
