"""What a playbook may say: every mistake is told with its line and column, and no secret stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from interlock.duties.playbook import Act, Command, Mail, Retry, Server, Webhook, load
from interlock.errors import PolicyError, UsageError

GOOD = """\
interlock: playbook/v1
mail:
  host: smtp.lab.example
  from: interlock@lab.example
  user: interlock
  password_from: MAIL_PASSWORD
  ca_file: ca.pem
retry: {times: 3, wait: 1 second, longest: 1 minute}
tell:
  board:
    - mail: [chair@lab.example, vice@lab.example]
    - {webhook: "https://hooks.lab.example/x", secret_from: HOOK_SECRET}
    - {command: [page, --now], limit: 30 seconds}
  gatekeeper: {command: page}
do:
  pause-training: {command: [scripts/pause.sh], limit: 2 minutes}
  told: {notification: true}
"""


@pytest.fixture
def policy(_lab):
    return _lab.read().policy


def read(tmp_path, policy, text):
    (tmp_path / "playbook.yaml").write_text(text)
    return load(tmp_path / "playbook.yaml", [policy])


def test_all_that_it_can_say(tmp_path, policy):
    made = read(tmp_path, policy, GOOD)
    sender, secret = "interlock@lab.example", "MAIL_PASSWORD"
    assert made.mail == Server(
        "smtp.lab.example",
        587,
        encryption="starttls",
        sender=sender,
        user="interlock",
        password_from=secret,
        ca_file=tmp_path / "ca.pem",
    )
    assert made.tell["board"] == (
        Mail("chair@lab.example"),
        Mail("vice@lab.example"),
        Webhook("https://hooks.lab.example/x", "HOOK_SECRET"),
        Command(("page", "--now"), 30),
    )
    assert made.tell["gatekeeper"] == (Command(("page",), 60),)
    assert made.acts == {
        "pause-training": Act(Command(("scripts/pause.sh",), 120), notification=False),
        "told": Act(None, notification=True),
    }
    assert (made.retry, made.folder) == (Retry(3, 1, 60), tmp_path)
    assert made.secrets == ("MAIL_PASSWORD", "HOOK_SECRET")


MISTAKES = {  # sentence: (old, new, what is told at the place that `^` marks)
    "another format": ("playbook/v1", "^playbook/v2", "expected `playbook/v1`"),
    "an unknown section": ("retry:", "^retries:", "unknown field `retries`; did you mean `retry`?"),
    "an unknown field": ("  ca_file:", "  ^ca_fil:", "unknown field `ca_fil`"),
    "a server without a host": ("  host: smtp.lab.example\n", "", "expected field `host`"),
    "a host that is none": ("smtp.lab.example", "^a host", "expected a host"),
    "a port that is none": ("  user:", "  port: ^70000\n  user:", "expected a port up to 65535"),
    "a sender without a domain": ("from: interlock@lab.example", "from: ^interlock", "expected an address"),
    "a sender with a second line": ("interlock@lab.example", '^"a@lab.example\\nBcc: x@y"', "expected an address"),
    "a password without a user": ("  user: interlock\n", "", "expected both of `user` and `password_from`"),
    "a password in the clear": ("  user:", "  encryption: none\n  user:", "expected an `encryption`"),
    "a secret itself": ("MAIL_PASSWORD", "^hunter2", "expected the name of an environment variable"),
    "a role that is not there": ("  gatekeeper:", "  ^gatekeper:", "role `gatekeper` is not one of the policy's"),
    "a duty that is not there": ("  told:", "  ^tell-it:", "duty or answer to a hold `tell-it` is not one"),
    "two channels in one": ("mail: [chair", "^command: x\n      mail: [chair", "got `mail` and `command`"),
    "a channel of no kind": ("{command: page}", "^{pager: 1}", "expected one of `mail`, `webhook` and `command`"),
    "no channel at all": ("{command: page}", "^[]", "expected at least one"),
    "a channel that is a text": ("{command: page}", "^page", "expected a channel as a mapping"),
    "nobody to write to": ("[chair@lab.example, vice@lab.example]", "[]", "expected at least one address"),
    "an address that everybody reads": ("https://hooks", "^http://hooks", "expected an https address"),
    "an address with a password": ("https://hooks", "^https://me:secret@hooks", "expected an https address"),
    "an address that is none": ("https://hooks.lab.example/x", "^https://[", "expected an https address"),
    "an address with a space": ("example/x", "example/x y", "expected an https address"),
    "a program without a name": ("[scripts/pause.sh]", "[]", "expected a program and its arguments"),
    "a line for a shell": ("command: page}", "command: page --now}", "as a list, got `page --now`"),
    "a limit without end": ("2 minutes", "^2 months", "expected at most 1 hour"),
    "a limit of days": ("2 minutes", "^2 days", "expected at most 1 hour"),
    "a thousand tries": ("times: 3", "times: ^1000", "expected at most 100 tries"),
    "an act that does nothing": ("{notification: true}", "^{}", "got neither"),
    "a stop that tells nobody": ("limit: 2 minutes", "notification: true", "expected no `notification`"),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_mistake(sentence, tmp_path, policy):
    old, new, match = MISTAKES[sentence]
    assert GOOD.count(old) >= 1
    text = GOOD.replace(old, new, 1)
    before, mark, _ = text.partition("^")
    with pytest.raises(PolicyError, match=re.escape(match)) as told:
        read(tmp_path, policy, text.replace("^", "", 1))
    problem = next(it for it in told.value.mistakes if match in it.message)
    assert problem.file == str(tmp_path / "playbook.yaml")
    assert not mark or problem.line == before.count("\n") + 1
    assert "hunter2" not in str(told.value)
    assert "me:secret" not in str(told.value)


def test_mail_without_a_server(tmp_path, policy):
    with pytest.raises(PolicyError, match="expected a `mail` server in this playbook, got none"):
        read(tmp_path, policy, "interlock: playbook/v1\ntell: {board: {mail: chair@lab.example}}\n")


@pytest.mark.parametrize("text", ["", "[]", "interlock: &x playbook/v1", "a: 1\na: 2\n"])
def test_what_is_no_playbook(text, tmp_path, policy):
    with pytest.raises(PolicyError, match=r"playbook.yaml:\d+:\d+: "):
        read(tmp_path, policy, text)


def test_a_file_that_is_not_there(policy):
    with pytest.raises(UsageError, match="expected a playbook at `nowhere`, got nothing"):
        load(Path("nowhere"), [policy])


def test_on_this_machine_http_will_do(tmp_path, policy):
    for host in ("localhost", "127.0.0.1:80", "[::1]:8080"):
        made = read(tmp_path, policy, f'interlock: playbook/v1\ntell: {{board: {{webhook: "http://{host}/x"}}}}\n')
        assert made.tell["board"][0].url.endswith("/x")


def test_check_says_what_has_no_entry(told, tmp_path):
    (tmp_path / "playbook.yaml").write_text("interlock: playbook/v1\ndo: {told: {notification: true}}\n")
    said = told.run("duties", "check", tmp_path / "playbook.yaml", "--json", code=5).json["missing"]
    assert sorted(said) == [
        "`on_hold.expert.notify`: nobody tells `board`",
        "`on_hold.expert.pause-training`: nothing does `pause-training`",
        "`on_hold.expert.reassess`: nothing does `reassess`",
        "`on_hold.expert.restrict-weight-access`: nothing does `restrict-weight-access`",
        "`review`: nothing does it: publish a review",
        "`status`: nothing does it: say how it is",
        "`tell`: nothing does it: tell the authority",
        "`told`: nobody tells `board`",
    ]


def test_check_of_a_whole_playbook(told, tmp_path):
    names = ("pause-training", "restrict-weight-access", "reassess", "told", "review", "status", "tell")
    acts = "".join(f"  {name}: {{command: 'true'}}\n" for name in names)
    (tmp_path / "playbook.yaml").write_text(f"interlock: playbook/v1\ntell: {{board: {{command: x}}}}\ndo:\n{acts}")
    assert "everything that the policy asks for" in told.run("duties", "check", tmp_path / "playbook.yaml").out
    (tmp_path / "playbook.yaml").write_text("interlock: playbook/v1\ntell: {chair: {command: x}}\n")
    said = told.run("duties", "check", tmp_path / "playbook.yaml", code=2)
    assert "playbook.yaml:2:8: role `chair` is not one of the policy's" in said.err
