"""`interlock duties run` against real servers on this machine: told once, tried again, killed in between, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time

import pytest

import ledger_lab as made
from duties_lab import NOW
from interlock.cli import duties as command
from interlock.duties import carry, channels
from interlock.duties.playbook import Retry, load
from interlock.workspace import now
from loopback import certificate, hook, mailbox

CHAIR, VICE = "chair@lab.example", "vice@lab.example"
PASSWORD, SECRET = "correct horse", "battery staple"


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Nothing waits: the seconds are noted. Nothing on the way stands between this machine and itself."""
    found = []
    monkeypatch.setattr(command.time, "sleep", found.append)
    monkeypatch.setenv("no_proxy", "*")
    return found


@pytest.fixture
def held(told):
    """A hold on record, of which the board must be told."""
    told.decide()
    return told


def playbook(told, text):
    path = told.workspace.folder / "playbook.yaml"
    path.write_text(f"interlock: playbook/v1\n{text}\n")
    return path


def by_mail(told, server, *, more=""):
    return playbook(
        told,
        f"mail: {{host: 127.0.0.1, port: {server.port}, from: interlock@lab.example, encryption: none{more}}}\n"
        f"tell: {{board: [{{mail: [{CHAIR}, {VICE}]}}]}}",
    )


def by_hook(told, server, more=""):
    return playbook(told, f'tell: {{board: [{{webhook: "{server.url}"{more}}}]}}')


def by_command(told, *argv, limit="10 seconds"):
    return playbook(told, f"tell: {{board: [{{command: {json.dumps(list(argv))}, limit: {limit}}}]}}")


def run(told, code=0):
    return told.run("duties", "run", "--json", code=code).json


def state(told):
    return json.loads((told.workspace.folder / "duties.json").read_bytes())


# -- e-mail ------------------------------------------------------------------------------------------------------------


def test_the_board_is_told_by_mail_once_and_that_is_on_record(held):
    with mailbox() as server:
        by_mail(held, server)
        assert len(run(held)["delivered"]) == 2
        assert run(held)["delivered"] == []
    assert [(to, message["To"]) for to, message in server.messages] == [([it], it) for it in (CHAIR, VICE)]
    for _, message in server.messages:
        assert message["Subject"] == "Duty: notify: board, due 2027-01-12T12:00:00Z"
        key = message["Message-ID"].removeprefix("<").removesuffix("@lab.example>")
        assert f'"idempotency_key": "{key}"' in message.get_content()
        assert state(held)[key]["state"] == "arrived"
    (notify,) = held.duties("notify")
    assert (notify["state"], notify["done"]["signers"]) == ("done", ["gatekeeper"])
    (word,) = held.workspace.read().done
    assert [(it.role, it.through, it.at) for it in word.told] == [("board", "e-mail", NOW)]


def encrypted(told, server, authorities, encryption="starttls"):
    return playbook(
        told,
        f"mail: {{host: 127.0.0.1, port: {server.port}, from: a@lab.example, user: a, "
        f"password_from: MAIL_PASSWORD, ca_file: {authorities}, encryption: {encryption}}}\nretry: {{times: 1}}\n"
        "tell: {board: {mail: chair@lab.example}}",
    )


def test_mail_is_encrypted_where_there_is_a_password(hidden, tmp_path):
    public, context = certificate(tmp_path)
    with mailbox(tls=context, password=PASSWORD) as server:
        encrypted(hidden, server, public)
        run(hidden)
    assert len(server.messages) == 1


def test_mail_is_encrypted_from_the_start_of_the_connection_where_that_is_asked(hidden, tmp_path):
    public, context = certificate(tmp_path)
    with mailbox(tls=context, password=PASSWORD, at_once=True) as server:
        encrypted(hidden, server, public, "tls")
        run(hidden)
    assert len(server.messages) == 1
    assert not any(b"STARTTLS" in line for line in server.seen)


def test_attack_a_server_in_between_that_takes_out_the_encryption_from_the_start(hidden, tmp_path):
    public, _ = certificate(tmp_path)
    with mailbox(password=PASSWORD) as server:
        encrypted(hidden, server, public, "tls")
        assert "SSL" in run(hidden, code=5)["failed"][0]
    assert not any(b"AUTH" in line for line in server.seen)


def test_attack_a_server_in_between_that_takes_out_the_encryption(hidden, tmp_path):
    public, _ = certificate(tmp_path)
    with mailbox(password=PASSWORD) as server:
        encrypted(hidden, server, public)
        assert "STARTTLS" in run(hidden, code=5)["failed"][0]
    assert not any(b"AUTH" in line for line in server.seen)


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_attack_a_server_in_between_with_a_certificate_of_its_own(hidden, tmp_path, encryption):
    (tmp_path / "other").mkdir()
    (public, _), (_, theirs) = certificate(tmp_path), certificate(tmp_path / "other")
    with mailbox(tls=theirs, password=PASSWORD, at_once=encryption == "tls") as server:
        encrypted(hidden, server, public, encryption)
        assert "CERTIFICATE_VERIFY_FAILED" in run(hidden, code=5)["failed"][0]
    assert not any(b"AUTH" in line for line in server.seen)


@pytest.fixture
def hidden(held, monkeypatch):
    """A hold whose secrets must turn up nowhere."""
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    return held


def test_attack_a_server_that_repeats_the_password(hidden, tmp_path):
    public, context = certificate(tmp_path)
    with mailbox(tls=context, password="another") as server:  # noqa: S106  it is a made-up one
        encrypted(hidden, server, public)
        said = hidden.run("duties", "run", code=5)
    assert "535 `***` is wrong" in said.out
    nowhere(hidden, said, PASSWORD)


def nowhere(told, said, *secrets):
    """No secret was printed, nor is it in any file of the workspace."""
    texts = [said.out, said.err]
    texts += [it.read_bytes().decode("latin-1") for it in told.workspace.folder.rglob("*") if it.is_file()]
    for secret in secrets:
        assert not any(secret in text for text in texts)


def test_one_recipient_that_is_refused_is_a_failure_and_the_others_are_told_once(held):
    with mailbox(refuses=[VICE]) as server:
        by_mail(held, server)
        said = run(held, code=5)
        assert f"board by e-mail to {VICE}: 127.0.0.1:{server.port}: 550 not here" in said["failed"][0]
        assert held.states("notify") == ["open"]
        server.refuses.clear()
        run(held)
    assert [to for to, _ in server.messages] == [[CHAIR], [VICE]]
    assert held.states("notify") == ["done"]


def test_a_server_that_is_not_there_is_told_with_its_place(held, waits):
    with mailbox() as server:
        by_mail(held, server)
    said = run(held, code=5)
    assert f"127.0.0.1:{server.port}: " in said["failed"][0]
    assert waits == [2, 4, 8, 16] * 2  # of each address


# -- webhook -----------------------------------------------------------------------------------------------------------


def test_a_webhook_that_fails_twice_then_takes_it(hidden, waits):
    with hook(500, 503, 200) as server:
        by_hook(hidden, server, ", secret_from: HOOK_SECRET")
        said = hidden.run("duties", "run", "--json")
    assert [post[2]["idempotency_key"] for post in server.posts] == [*state(hidden)] * 3
    assert waits == [2, 4]
    for (_, headers, _), body in zip(server.posts, server.bodies, strict=True):
        assert headers["Idempotency-Key"] in state(hidden)
        code = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert headers["Interlock-Signature"] == f"sha256={code}"
    body = server.posts[0][2]
    assert (body["what"], body["due"], body["subject"]["name"]) == ("notify: board", "2027-01-12T12:00:00Z", "m")
    assert hidden.states("notify") == ["done"]
    nowhere(hidden, said, SECRET)
    assert "secret-token" not in said.out
    assert "secret-token" not in json.dumps(state(hidden))


def test_a_webhook_that_never_takes_it_is_a_failure_and_is_tried_by_the_next_run(held, waits):
    with hook(500) as server:
        by_hook(held, server)
        said = run(held, code=5)
        assert "webhook at http://127.0.0.1: answered 500, expected 200 to 299" in said["failed"][0]
        assert len(server.posts) == 5
        assert "secret-token" not in json.dumps(said)
        server.answers[:] = [204]
        assert run(held)["failed"] == []
    assert len({post[2]["idempotency_key"] for post in server.posts}) == 1


@pytest.mark.parametrize("code", [302, 307])
def test_attack_a_webhook_that_sends_it_elsewhere(held, code):
    with hook(code) as server:
        by_hook(held, server)
        assert f"answered {code}" in run(held, code=5)["failed"][0]
    assert {post[0] for post in server.posts} == {"/hook?token=secret-token"}


def test_a_secret_that_is_not_set_is_told_and_nothing_is_sent(held, waits, monkeypatch):
    monkeypatch.delenv("HOOK_SECRET", raising=False)
    with hook() as server:
        by_hook(held, server, ", secret_from: HOOK_SECRET")
        said = run(held, code=5)
    assert "the environment variable `HOOK_SECRET` is not set" in said["failed"][0]
    assert (server.posts, waits) == ([], [])


# -- command -----------------------------------------------------------------------------------------------------------

WRITES = "import os, sys; open('got.json', 'a').write(sys.stdin.read() + '\\n'); print(dict(os.environ))"


def test_a_command_gets_the_duty_on_its_input_and_no_secrets(hidden, monkeypatch):
    monkeypatch.setenv("INTERLOCK_PASSPHRASE", "open sesame")
    program = WRITES + "; open('env.json', 'w').write(repr(dict(os.environ)))"
    playbook(
        hidden,
        f"tell: {{board: [{{command: {json.dumps([sys.executable, '-c', program])}}}, "
        '{webhook: "https://127.0.0.1:9/", secret_from: HOOK_SECRET}]}\nretry: {times: 1}',
    )
    run(hidden, code=5)  # nobody listens there
    got = json.loads((hidden.workspace.folder / "got.json").read_text())
    assert got["what"] == "notify: board"
    environment = (hidden.workspace.folder / "env.json").read_text()
    assert got["idempotency_key"] in environment
    assert SECRET not in environment
    assert "sesame" not in environment
    assert hidden.states("notify") == ["open"]  # not everybody was told


def test_a_command_without_a_shell(held):
    by_command(held, sys.executable, "-c", "import sys; sys.exit(sys.argv[1] != '$(false); x > y')", "$(false); x > y")
    assert run(held)["failed"] == []


def test_a_command_is_killed_by_its_limit_and_its_children_too(held, tmp_path):
    child = "import os, time; open('child', 'w').write(str(os.getpid())); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    playbook(
        held,
        f"tell: {{board: [{{command: {json.dumps([sys.executable, '-c', parent])}, limit: 2 seconds}}]}}\n"
        "retry: {times: 1}",
    )
    assert "killed after 2 seconds, its limit" in run(held, code=5)["failed"][0]
    pid = int((held.workspace.folder / "child").read_text())
    deadline = time.monotonic() + 10
    while gone_soon(pid) and time.monotonic() < deadline:
        pass
    assert not gone_soon(pid)


def gone_soon(pid):
    """Whether a process still runs: one that has ended may wait for whoever asks."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        ([sys.executable, "-c", "print('no line'); raise SystemExit('out of paper')"], "exit code 1: out of paper"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "exit code 3: it said nothing"),
        (["./not-there"], "command `./not-there`: cannot be started"),
    ],
)
def test_a_command_that_fails_says_how(held, argv, match):
    by_command(held, *argv)
    assert match in run(held, code=5)["failed"][0]


# -- idempotent --------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What ends a process without any word."""


@pytest.fixture
def killed_at(monkeypatch):
    def kill(state):
        real = carry._Log.write

        def write(self, it, written):
            if written == state:
                raise Killed
            real(self, it, written)

        monkeypatch.setattr(carry._Log, "write", write)
        return lambda: monkeypatch.setattr(carry._Log, "write", real)

    return kill


def go(told):
    found = load(told.workspace.folder / "playbook.yaml", [it.policy for it in told.workspace.read().versions])
    return carry.Run(told.workspace, found, sleep=lambda _: None).go()


def test_killed_between_delivery_and_record_it_is_delivered_again_with_the_same_key(held, killed_at):
    with hook() as server:
        by_hook(held, server)
        alive = killed_at("arrived")
        with pytest.raises(Killed):
            go(held)
        assert [it["state"] for it in state(held).values()] == ["sending"]
        alive()
        run(held)
        assert run(held)["delivered"] == []
    first, second = (post[2]["idempotency_key"] for post in server.posts)
    assert first == second
    assert held.states("notify") == ["done"]


def test_killed_before_delivery_nothing_was_sent(held, killed_at):
    with hook() as server:
        by_hook(held, server)
        alive = killed_at("sending")
        with pytest.raises(Killed):
            go(held)
        assert server.posts == []
        alive()
        run(held)
    assert len(server.posts) == 1


def test_killed_between_delivery_and_the_ledger_it_is_put_on_record_without_telling_again(held, monkeypatch):
    def dies(*_, **__):
        raise Killed

    with hook() as server:
        by_hook(held, server)
        with monkeypatch.context() as patch:
            patch.setattr(carry, "say_done", dies)
            with pytest.raises(Killed):
                go(held)
        assert held.states("notify") == ["open"]
        assert run(held)["delivered"] == []
    assert len(server.posts) == 1
    assert held.states("notify") == ["done"]


def test_another_address_is_told_anew(held):
    (held.workspace.folder / "keys" / "gatekeeper.key").rename(held.workspace.folder / "kept")
    with hook() as server, hook() as other:
        by_hook(held, server)
        run(held)
        by_hook(held, other)
        run(held)
    assert (len(server.posts), len(other.posts)) == (1, 1)


def test_a_state_that_cannot_be_read_sends_nothing(held):
    with hook() as server:
        by_hook(held, server)
        for text in ("{", "[]", '{"x": 1}', '{"x": {"state": "sent"}}', '{"x": {"state": "arrived", "at": "soon"}}'):
            (held.workspace.folder / "duties.json").write_text(text)
            assert "duties.json` cannot be read" in held.run("duties", "run", code=2).err
    assert server.posts == []


def test_two_runs_at_once_are_refused(held):
    by_command(held, "true")
    with carry._alone(held.workspace.folder):
        assert "is under way" in held.run("duties", "run", code=2).err


# -- who signs, and what is left ---------------------------------------------------------------------------------------


def test_without_the_key_of_who_may_say_so_they_are_told_and_it_is_left_to_people(held):
    (held.workspace.folder / "keys" / "gatekeeper.key").rename(held.workspace.folder / "kept")
    with hook() as server:
        by_hook(held, server)
        said = run(held)
        assert any("all are told, which is not on record" in line for line in said["left_to_people"])
        assert held.states("notify") == ["open"]
        (held.workspace.folder / "kept").rename(held.workspace.folder / "keys" / "gatekeeper.key")
        run(held)
    assert len(server.posts) == 1
    assert held.states("notify") == ["done"]


def test_what_a_stop_asks_for_is_done_and_left_to_people_to_vouch_for(held):
    playbook(
        held,
        f"do: {{pause-training: {{command: {json.dumps([sys.executable, '-c', WRITES])}}}}}\n"
        "tell: {board: {command: ['true']}}",
    )
    said = run(held)
    assert len(said["delivered"]) == 2
    assert run(held)["delivered"] == []
    assert held.states("pause-training") == ["open"]  # that the program ended well does not show that training did
    assert any("restrict-weight-access" in line for line in said["left_to_people"])


def test_a_duty_of_the_policy_that_is_to_tell_somebody(told):
    told.run("incident", "report", "theft", "--by", "board")
    playbook(told, "tell: {board: {command: ['true']}}\ndo: {told: {notification: true}}")
    (before,) = told.duties("told")
    assert (before["by"], before["notify"]) == (["gatekeeper"], ["board"])
    run(told)
    assert told.states("told") == ["done"]


def test_late_is_carried_out_and_recorded(held):
    held.after(hours=30)
    by_command(held, "true")
    said = run(held)
    assert "was not done by" in said["recorded"][0]
    assert held.states("notify") == ["done late"]
    (lapse,) = held.workspace.read().facts.lapses
    assert lapse.done is not None


def test_with_record_only_nothing_is_carried_out(held):
    held.after(hours=30)
    with hook() as server:
        by_hook(held, server)
        said = held.run("duties", "run", "--record-only", "--by", "external-auditor", "--json", code=3).json
    assert (server.posts, said["delivered"]) == ([], [])
    assert "says `external-auditor`" in said["recorded"][0]
    assert [it.signers for it in held.workspace.read().records if it.kind == "duty-overdue"] == [{"external-auditor"}]


def test_what_cannot_be_recorded_is_a_failure(held):
    for name in ("gatekeeper", "board-1", "board-2"):
        (held.workspace.folder / "keys" / f"{name}.key").unlink()
    held.after(hours=30)
    assert "cannot be recorded" in run(held, code=5)["failed"][0]
    assert "cannot be recorded" not in str(told_by(held, "external-auditor"))


def told_by(told, role):
    return told.run("duties", "run", "--json", "--by", role, code=3).json


def test_waits_grow_and_are_bounded():
    assert list(Retry().waits()) == [2, 4, 8, 16]
    assert list(Retry(times=8, wait=10, longest=60).waits()) == [10, 20, 40, 60, 60, 60, 60]
    assert list(Retry(times=1).waits()) == []
    assert len(list(Retry(times=100).waits())) == 99


def test_an_undelivered_message_that_is_final_is_not_tried_again(held, waits, monkeypatch):
    tried = []

    def never(*_, **__):
        tried.append(1)
        raise channels.Undelivered("no", final=True)

    monkeypatch.setattr(carry, "deliver", never)
    by_command(held, "true")
    run(held, code=5)
    assert (len(tried), waits) == (1, [])


KILLS = """
import os, signal, sys
first = not os.path.exists('got')
with open('got', 'a') as file:
    print(os.environ['INTERLOCK_IDEMPOTENCY_KEY'], file=file)
if first:
    os.kill(os.getppid(), signal.SIGKILL)
"""


def test_kill_9_after_the_board_was_told_tells_it_once_more_with_the_same_key(tmp_path):
    """In processes of their own: the command that tells the board kills the run that started it."""
    workspace = made.make(tmp_path, made.ANSWERS)
    program = [sys.executable, "-c", "from interlock.cli import main; main()"]
    where = ["--workspace", str(workspace.folder)]
    (workspace.folder / "playbook.yaml").write_text(
        f"interlock: playbook/v1\ntell: {{board: {{command: {json.dumps([sys.executable, '-c', KILLS])}}}}}\n"
    )

    def go(*arguments):
        return subprocess.run([*program, *arguments, *where], capture_output=True, text=True, check=False)

    assert go("decide", "-s", "m", "-a", "scale", "--record").returncode == 3
    assert go("duties", "run").returncode == -signal.SIGKILL
    assert go("duties", "run").returncode == 0
    first, second = (workspace.folder / "got").read_text().split()
    assert first == second
    assert go("duties", "run").returncode == 0
    assert len((workspace.folder / "got").read_text().split()) == 2
    (notify,) = [it for it in workspace.read().duties(now()).duties if it.does == "notify"]
    assert notify.state == "done"
