"""One delivery: a duty by e-mail, to a webhook, or to a command. It has arrived, or `Undelivered` says what went wrong.

Guarantees: every delivery carries its idempotency key, so that whoever gets it twice can tell; a secret goes only where
it belongs, and no error repeats one.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import signal
import smtplib
import ssl
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from interlock.duties.playbook import Command, Mail, Webhook
from interlock.errors import FAILED, InterlockError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interlock.duties.playbook import Channel, Playbook, Server

#: Seconds for a server to answer.
_PATIENCE = 30
#: How much of what a command says is told, in characters.
_SHOWN = 200


class Undelivered(InterlockError):  # noqa: N818  it is what happened, as `Held` is
    """Something did not arrive. `final`: trying again changes nothing."""

    exit_code = FAILED

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def deliver(channel: Channel, told: Mapping[str, Any], *, key: str, playbook: Playbook) -> None:
    """Deliver once. `told` is the duty as JSON; `key` says which delivery this is.

    Raises:
        Undelivered: it did not arrive, or may not have.
    """
    told = {**told, "idempotency_key": key}
    try:
        if isinstance(channel, Mail):
            _mail(channel, told, key, playbook.mail)
        elif isinstance(channel, Webhook):
            _post(channel, told, key)
        else:
            _run(channel, told, key, playbook)
    except Undelivered as error:
        raise Undelivered(_without(str(error), playbook), final=error.final) from None


def _without(text: str, playbook: Playbook) -> str:
    """A text without the values of secrets."""
    for name in playbook.secrets:
        value = os.environ.get(name)
        text = text.replace(value, "***") if value else text
    return text


def _secret(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise Undelivered(f"the environment variable `{name}` is not set", final=True)
    return value


# -- e-mail ------------------------------------------------------------------------------------------------------------


def _mail(channel: Mail, told: Mapping[str, Any], key: str, server: Server | None) -> None:
    assert server is not None  # noqa: S101  a playbook with e-mail has one
    message = _message(channel, told, key, server.sender)
    password, domain = _secret(server.password_from) if server.password_from else None, server.sender.rpartition("@")[2]
    try:
        with _connection(server, domain) as smtp:
            if server.user is not None and password is not None:
                smtp.login(server.user, password)
            smtp.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered(f"{server.host}:{server.port}: {_said(error)}") from None


def _connection(server: Server, domain: str) -> smtplib.SMTP:
    if server.encryption == "none":
        return smtplib.SMTP(server.host, server.port, local_hostname=domain, timeout=_PATIENCE)
    context = ssl.create_default_context(cafile=server.ca_file)
    if server.encryption == "tls":
        return smtplib.SMTP_SSL(server.host, server.port, local_hostname=domain, timeout=_PATIENCE, context=context)
    smtp = smtplib.SMTP(server.host, server.port, local_hostname=domain, timeout=_PATIENCE)
    try:
        smtp.starttls(context=context)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _message(channel: Mail, told: Mapping[str, Any], key: str, sender: str) -> EmailMessage:
    message = EmailMessage()
    due = f", due {told['due']}" if told["due"] else ""
    message["From"], message["To"] = sender, channel.to
    message["Subject"] = f"Duty: {told['what']}{due}"
    message["Message-ID"] = f"<{key}@{sender.rpartition('@')[2]}>"
    subject = told["subject"]
    lines = [
        f"{told['duty']}: {told['what']}",
        f"about       {told['about']}" + (f", subject {subject['name']}" if subject else ""),
        f"started by  {told['started_by']['what']}, entry {told['started_by']['entry']} of the ledger",
        f"due         {told['due'] or 'no time is set'} ({told['state']})",
        f"policy      {told['policy']['id']}",
        "",
        json.dumps(told, indent=2, sort_keys=True),
    ]
    message.set_content("\n".join(lines))
    return message


def _said(error: Exception) -> str:
    """What an error of a server says, in one line."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        error = smtplib.SMTPResponseException(*next(iter(error.recipients.values())))
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {' '.join(str(said).split())[:_SHOWN]}"
    return " ".join(str(error).split())[:_SHOWN] or type(error).__name__


# -- webhook -----------------------------------------------------------------------------------------------------------


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: what is signed for one address is not sent to another."""

    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401  urllib's own
        return None


def _post(channel: Webhook, told: Mapping[str, Any], key: str) -> None:
    body = json.dumps(told, sort_keys=True).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "interlock"}
    if channel.secret_from is not None:
        code = hmac.new(_secret(channel.secret_from).encode(), body, hashlib.sha256).hexdigest()
        headers["Interlock-Signature"] = f"sha256={code}"
    request = urllib.request.Request(channel.url, body, headers, method="POST")  # noqa: S310  a playbook has http(s) only
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=_PATIENCE) as answer:
            status: int = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except (http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Undelivered(" ".join(str(reason).split())[:_SHOWN] or "no answer") from None
    if not 200 <= status < 300:
        raise Undelivered(f"answered {status}, expected 200 to 299")


# -- command -----------------------------------------------------------------------------------------------------------


def _run(channel: Command, told: Mapping[str, Any], key: str, playbook: Playbook) -> None:
    """Run a command in a session of its own: at its limit all of it is killed, children too."""
    hidden = {*playbook.secrets, "INTERLOCK_PASSPHRASE"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["INTERLOCK_IDEMPOTENCY_KEY"] = key
    try:
        process = subprocess.Popen(  # noqa: S603  the playbook's own words, without a shell
            channel.argv,
            cwd=playbook.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise Undelivered(f"cannot be started: {error.strerror or error}", final=True) from None
    try:
        said, _ = process.communicate(json.dumps(told, sort_keys=True).encode(), timeout=channel.limit)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise Undelivered(f"killed after {channel.limit} seconds, its limit") from None
    except BaseException:
        _kill(process)
        raise
    if process.returncode:
        lines = said.decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        raise Undelivered(f"exit code {process.returncode}: {last[:_SHOWN]}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command that has not been waited for, so that its number is still its own; and its children."""
    with suppress(ProcessLookupError, PermissionError):  # some systems say the latter of a group that has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()
