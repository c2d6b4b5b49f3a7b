"""The door of a cluster: golden reviews and their answers, the webhook over HTTPS, and the floor's CEL.

No cluster is here. The reviews have the members that an API server of Kubernetes 1.30 sends.
"""

from __future__ import annotations

import copy
import json
import os
import socket
import ssl
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ruamel.yaml import YAML

import ledger_lab
import permit_lab
from interlock import cli
from interlock.cli.deployments import register as offer
from interlock.errors import EvidenceError
from interlock.evidence import dsse
from interlock.gate import kubernetes_serve, permit_file
from interlock.gate.kubernetes import LIMIT, Door, answer
from interlock.gate.kubernetes_serve import Server
from interlock.subject.deployment import Deployment
from interlock.workspace import now

FOLDER = Path(__file__).parents[2] / "integrations" / "kubernetes"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "train-0",
        "namespace": "train",
        "annotations": {"interlock/permit": "run.json", "other": "x"},
    },
    "spec": {
        "activeDeadlineSeconds": 600,
        "restartPolicy": "Never",
        "containers": [{"name": "train", "image": "train:1", "command": ["torchrun", "train.py"]}],
    },
}
REVIEW = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "name": "train-0",
        "namespace": "train",
        "operation": "CREATE",
        "userInfo": {
            "username": "system:serviceaccount:kube-system:job-controller",
            "groups": ["system:authenticated"],
        },
        "object": POD,
        "oldObject": None,
        "dryRun": False,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
    },
}
ALLOWED = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "response": {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": True},
}
OFFERED = Deployment(ledger_lab.FILES.digest, "5e" * 32, (), (), "api", "public", {})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kubernetes")
    workspace = permit_lab.evaluated(folder / "lab")
    permit, _ = permit_lab.files(workspace, folder / "gate")
    (folder / "permits").mkdir()
    (folder / "permits" / "run.json").write_bytes(permit.read_bytes())
    offer(workspace, name="api", offered=OFFERED)
    for name, deployment in (("api.json", "api"), ("bare.json", None)):
        digest = permit_lab.issue(workspace, "deploy-api", deployment=deployment)
        (folder / "permits" / name).write_bytes(permit_file.export(workspace, digest))
    flipped = bytearray(permit.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (folder / "permits" / "flipped.json").write_bytes(bytes(flipped))
    os.mkfifo(folder / "permits" / "pipe")
    return folder


@pytest.fixture
def door(place):
    trust = permit_lab.Trust.parse((place / "gate" / "trust.json").read_bytes())
    return Door(place / "permits", lambda: trust, now)


def changed(*path_and_value):
    """The review with one member another, or gone."""
    review, (*path, last, value) = copy.deepcopy(REVIEW), path_and_value
    part = review
    for name in path:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return review


def asked(door, review, action="scale"):
    return answer(door, json.dumps(review).encode(), action=action)


def update(**new):
    """A review in which a Pod that runs becomes another."""
    review = changed("request", "operation", "UPDATE")
    review["request"]["oldObject"] = copy.deepcopy(POD)
    pod = review["request"]["object"] = copy.deepcopy(POD)
    pod["metadata"]["annotations"] |= new.pop("annotations", {})
    pod["spec"] |= new
    return review


BEFORE_THE_LABEL = {
    "name": "old-0",
    "namespace": "train",
    "deletionTimestamp": "2026-11-30T08:00:00Z",
    "finalizers": ["batch.kubernetes.io/job-tracking", "example.org/held"],
}


def let_go(old=(), new=(), **spec):
    """A Pod from before the label, which is being deleted, loses a finalizer."""
    review = changed("request", "operation", "UPDATE")
    containers = POD["spec"]["containers"]
    was = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": BEFORE_THE_LABEL | dict(old),
        "spec": {"containers": containers},
    }
    lost = {"finalizers": ["example.org/held"]}
    becomes = was | {"metadata": was["metadata"] | lost | dict(new), "spec": was["spec"] | spec}
    review["request"] |= {"oldObject": was, "object": becomes}
    for pod in (was, becomes):
        pod["metadata"] = {name: value for name, value in pod["metadata"].items() if value is not None}
    return copy.deepcopy(review)


def test_a_pod_under_a_sound_permit_that_ends_before_it_is_made(door):
    assert asked(door, REVIEW) == ALLOWED


ANNOTATIONS = ("request", "object", "metadata", "annotations")
DEADLINE = ("request", "object", "spec", "activeDeadlineSeconds")
REFUSED = {
    "it names no permit": (changed(*ANNOTATIONS, {}), "the Pod names no permit"),
    "it has no annotations": (changed(*ANNOTATIONS, None), "the Pod names no permit"),
    "its permit is not there": (
        changed(*ANNOTATIONS, "interlock/permit", "x.json"), "no permit `x.json`",
    ),
    "its permit is a pipe, to which nobody writes": (changed(*ANNOTATIONS, "interlock/permit", "pipe"), "is no file"),
    "its permit is outside of the folder": (
        changed(*ANNOTATIONS, "interlock/permit", "../gate/permit.json"), "expected letters",
    ),
    "its permit has one bit flipped": (
        changed(*ANNOTATIONS, "interlock/permit", "flipped.json"), "interlock: hold",
    ),
    "it loads another model": (
        changed(*ANNOTATIONS, "interlock/subject", "0" * 64), "expected one for 0000",
    ),
    "its subject is no digest": (
        changed(*ANNOTATIONS, "interlock/subject", "m"), "expected 64",
    ),
    "it offers a deployment under a permit for the bare model": (
        changed(*ANNOTATIONS, "interlock/deployment", OFFERED.digest), "is for deployment the bare model, expected one",
    ),
    "its deployment is no digest": (changed(*ANNOTATIONS, "interlock/deployment", "api"), "expected 64"),
    "it has no deadline": (changed(*DEADLINE, None), "is None, expected at most"),
    "it outlasts the permit": (changed(*DEADLINE, 10**8), "expected at most"),
    "its deadline is no number": (changed(*DEADLINE, "600"), "a whole number"),
    "its deadline is a truth": (changed(*DEADLINE, True), "a whole number"),  # noqa: FBT003
    "its deadline is not above 0": (changed(*DEADLINE, -1), "a whole number"),
    "it is no Pod": (
        changed("request", "kind", {"group": "apps", "version": "v1", "kind": "Deployment"}), "expected a Pod",
    ),
    "a container is put into it": (changed("request", "subResource", "ephemeralcontainers"), "not looked at"),
    "an operation that nobody knows": (changed("request", "operation", "CONNECT"), "expected CREATE"),
    "it has no object": (changed("request", "object", None), "expected an object"),
    "its permit is changed while it runs": (update(annotations={"interlock/permit": "new.json"}), "cannot be changed"),
    "it says that it loads another model meanwhile": (update(annotations={"interlock/subject": "0" * 64}), "cannot be"),
    "it says that it offers another deployment meanwhile": (
        update(annotations={"interlock/deployment": OFFERED.digest}), "cannot be",
    ),
    "it gets more time": (update(activeDeadlineSeconds=601), "expected at most 600, as before"),
    "its deadline is taken away": (update(activeDeadlineSeconds=None), "expected at most 600, as before"),
    "one from before the label is not being deleted": (
        let_go({"deletionTimestamp": None}), "expected at most None, as before",
    ),
    "one from before the label says only now that it is": (
        let_go({"deletionTimestamp": None}, {"deletionTimestamp": "2026-11-30T08:00:00Z"}), "expected at most None",
    ),
    "one that is being deleted is no longer": (let_go(new={"deletionTimestamp": None}), "expected at most None"),
    "one that is being deleted ends later": (
        let_go(new={"deletionTimestamp": "2027-11-30T08:00:00Z"}), "expected at most None",
    ),
    "one that is being deleted gets another image": (
        let_go(containers=[{"name": "train", "image": "train:2"}]), "expected at most None",
    ),
    "one that is being deleted gets a deadline": (let_go(activeDeadlineSeconds=600), "expected at most None"),
    "one that is being deleted gets a permit": (
        let_go(new={"annotations": {"interlock/permit": "run.json"}}), "cannot be changed",
    ),
    "one that is being deleted gets a subject": (
        let_go(new={"annotations": {"interlock/subject": ledger_lab.FILES.digest}}), "cannot be changed",
    ),
    "one that is being deleted waits for more": (
        let_go(new={"finalizers": ["example.org/new"]}), "expected at most None",
    ),
    "its finalizers are no list": (let_go(new={"finalizers": "all"}), "no list of text"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_and_why(door, what):
    review, why = REFUSED[what]
    said = asked(door, review)["response"]
    assert said["uid"] == REVIEW["request"]["uid"]
    assert (said["allowed"], said["status"]["code"]) == (False, 403)
    assert said["status"]["message"].startswith("interlock: hold: ")
    assert why in said["status"]["message"]


def test_a_permit_for_another_action_is_refused_whatever_the_pod_says(door):
    said = asked(door, REVIEW, action="deploy-api")["response"]
    assert "expected one for `deploy-api`" in said["status"]["message"]


@pytest.mark.parametrize(
    ("permit", "named", "why"),
    [
        ("api.json", OFFERED.digest, None),
        ("bare.json", None, None),
        ("api.json", None, "expected one for the bare model"),
        ("api.json", "0" * 64, "expected one for 0000"),
        ("bare.json", OFFERED.digest, "is for deployment the bare model"),
    ],
)
def test_a_permit_for_a_deployment_opens_to_the_pod_that_names_it_and_to_no_other(door, permit, named, why):
    review = changed(*ANNOTATIONS, "interlock/permit", permit)
    if named is not None:
        review["request"]["object"]["metadata"]["annotations"]["interlock/deployment"] = named
    said = asked(door, review, action="deploy-api")["response"]
    assert said["allowed"] is (why is None)
    assert why is None or why in said["status"]["message"]


def test_two_reviews_at_once_keep_one_latest_time(door, tmp_path, monkeypatch):
    """The one comes when the other is about to put its file in place."""
    door = replace(door, seen=tmp_path / "seen")
    rename, answers = Path.replace, []

    def other():
        answers.append(asked(door, REVIEW))

    def late(self, target):
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", late)
    assert asked(door, REVIEW) == ALLOWED
    assert answers == [ALLOWED]
    assert [it.name for it in tmp_path.iterdir()] == ["seen"]


def test_a_permit_that_is_over_is_refused(door):
    later = Door(door.permits, door.trust, lambda: now() + timedelta(days=400))
    assert not asked(later, REVIEW)["response"]["allowed"]


@pytest.mark.parametrize(
    "review",
    [
        update(), update(activeDeadlineSeconds=10), changed("request", "operation", "DELETE"), let_go(),
        let_go(new={"finalizers": None}), let_go(new={"finalizers": []}),
    ],
)  # fmt: skip
def test_a_pod_that_runs_may_change_otherwise_get_less_time_and_be_deleted(door, review):
    assert asked(door, review) == ALLOWED


def test_the_subject_of_the_permit_may_be_named(door):
    named = changed(*ANNOTATIONS, "interlock/subject", ledger_lab.FILES.digest)
    assert asked(door, named) == ALLOWED


def test_a_review_of_an_old_pod_and_a_new_one_may_be_as_large_as_the_webhook_takes(door):
    large = {"example.org/large": "x" * (LIMIT // 2 - 4000)}
    review = update(annotations=large)
    review["request"]["oldObject"]["metadata"]["annotations"] |= large
    data = json.dumps(review).encode()
    assert dsse.LIMIT < len(data) <= LIMIT
    assert answer(door, data, action="scale") == ALLOWED


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{", b"null", b'{"request": 1}', json.dumps(changed("kind", "Pod")).encode(),
        json.dumps(changed("request", "uid", "")).encode(), json.dumps(changed("apiVersion", "v1")).encode(),
        json.dumps(REVIEW).encode().replace(b'"kind"', b'"uid": "a", "kind"', 1)[:-1], b" " * (LIMIT + 1),
    ],
)  # fmt: skip
def test_what_is_no_review_has_no_answer(door, data):
    with pytest.raises(EvidenceError):
        answer(door, data, action="scale")


# -- the webhook -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder, key = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1())
    name, at = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(at - timedelta(days=1)).not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(key.private_bytes(*form))
    return folder


@pytest.fixture
def served(door, certificate):
    told = []
    server = Server(
        ("localhost", 0), door, certificate=certificate / "tls.crt", key=certificate / "tls.key", tell=told.append
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    context = ssl.create_default_context(cafile=certificate / "tls.crt")

    def post(path, data):
        url = f"https://localhost:{server.server_address[1]}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data), context=context, timeout=20) as said:
                return said.status, json.loads(said.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    yield post, told
    server.shutdown()
    thread.join()
    server.server_close()


class _Told(list):
    """What the server told; `wait` returns once it has told so many lines."""

    def __init__(self):
        super().__init__()
        self._more = threading.Condition()

    def append(self, line):
        with self._more:
            super().append(line)
            self._more.notify_all()

    def wait(self, lines):
        with self._more:
            assert self._more.wait_for(lambda: len(self) >= lines, 60), self
        return self


@pytest.fixture
def connect(door, certificate, monkeypatch):
    """Connections to a server whose attributes are those given."""
    opened, context = ExitStack(), ssl.create_default_context(cafile=certificate / "tls.crt")

    def start(**attributes):
        told = _Told()
        for name, value in attributes.items():
            monkeypatch.setattr(Server, name, value)
        files = {"certificate": certificate / "tls.crt", "key": certificate / "tls.key"}
        server = opened.enter_context(Server(("localhost", 0), door, **files, tell=told.append))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        opened.callback(thread.join)
        opened.callback(server.shutdown)

        def one():
            plain = opened.enter_context(socket.create_connection(server.server_address[:2], timeout=60))
            return opened.enter_context(context.wrap_socket(plain, server_hostname="localhost"))

        return one, told

    with opened:
        yield start


def answered(connection):
    """All that comes back."""
    pieces = []
    with suppress(OSError):
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    return b"".join(pieces)


def posted(data, length=None):
    return b"POST /admit/scale HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (length or len(data), data)


def test_attack_a_client_that_sends_byte_by_byte_keeps_no_thread(connect):
    """None of the reads takes long, and there are three million."""
    one, told = connect(within=0.2)
    sent = 0
    with suppress(OSError):  # wherever it is broken off
        client = one()
        client.sendall(posted(b"", 3_000_000))
        for sent in range(3_000_000):  # noqa: B007
            client.sendall(b" ")
    assert sent < 2_999_999
    assert told.wait(1)[0].endswith("broken off after 0.2 seconds")
    assert not any("allowed" in line for line in told)


@pytest.mark.parametrize("sent", [b"", b"POST /admit/sc", posted(b"{", 100)], ids=["nothing", "a path", "a body"])
def test_attack_a_client_that_waits_is_broken_off(connect, monkeypatch, sent):
    """Wherever it stops; the limit of each read is not what ends it."""
    monkeypatch.setattr(kubernetes_serve._Handler, "timeout", 3600)
    one, told = connect(within=0.2)
    with suppress(OSError):
        client = one()
        client.sendall(sent)
        answered(client)
    assert "broken off after 0.2 seconds" in told.wait(1)[0]


def test_a_review_that_was_cut_short_is_not_answered_though_it_is_whole_to_the_eye(connect):
    one, told = connect()
    client, data = one(), json.dumps(REVIEW).encode()
    client.sendall(posted(data, len(data) + 1))
    socket.socket.shutdown(client, socket.SHUT_WR)
    assert b'"allowed"' not in answered(client)
    assert told.wait(1)[0].endswith(f"got {len(data)} of {len(data) + 1} bytes")


def test_attack_many_clients_that_wait_hold_so_many_threads_and_no_more(connect):
    one, told = connect(at_once=2, within=3600.0)
    waiting = [one() for _ in range(2)]
    with suppress(OSError):  # in the middle of its handshake
        assert answered(one()) == b""
    assert told.wait(1)[0].endswith("turned away: 2 are being answered")
    for client in waiting:
        client.sendall(posted(json.dumps(REVIEW).encode()))
        assert answered(client).startswith(b"HTTP/1.0 200 ")


def test_a_connection_that_is_over_makes_room_for_another(connect):
    thread, over = Server.process_request_thread, threading.Semaphore(0)

    def then_tell(*arguments):
        thread(*arguments)
        over.release()

    one, told = connect(at_once=1, within=3600.0, process_request_thread=then_tell)
    for sent in (b"no HTTP", posted(b"{"), posted(json.dumps(REVIEW).encode())):
        client = one()
        client.sendall(sent)
        socket.socket.shutdown(client, socket.SHUT_WR)
        said = answered(client)
        assert over.acquire(timeout=60)
    assert b'"allowed": true' in said
    assert not any("turned away" in line for line in told)


def test_the_webhook_answers_as_an_api_server_asks(served):
    post, told = served
    assert post("/admit/scale?timeout=10s", json.dumps(REVIEW).encode()) == (200, ALLOWED)
    assert not post("/admit/deploy-api", json.dumps(REVIEW).encode())[1]["response"]["allowed"]
    assert post("/admit/scale", b"{}")[0] == 400
    assert post("/", json.dumps(REVIEW).encode())[0] == 404
    assert post("/healthz", None) == (200, {"ok": True})
    assert told[0].endswith("allowed")


def test_one_review_by_hand(place, capsys, tmp_path):
    file = tmp_path / "review.json"
    told = ["admission", "review", str(file), "--permits", str(place / "permits")]
    told += ["--trust", str(place / "gate" / "trust.json")]
    file.write_text(json.dumps(REVIEW))
    assert cli.run(told) == 0
    assert json.loads(capsys.readouterr().out) == ALLOWED
    assert cli.run([*told, "-a", "deploy-api"]) == 3
    file.write_text("{")
    assert cli.run(told) == 4


# -- the floor ---------------------------------------------------------------------------------------------------------


def parts(name):
    return list(YAML(typ="safe").load_all((FOLDER / name).read_text()))


def test_the_webhook_and_the_floor_refuse_where_nobody_answers():
    policy, binding = parts("floor.yaml")
    (webhook,) = parts("webhook.yaml")[0]["webhooks"]
    assert (policy["spec"]["failurePolicy"], webhook["failurePolicy"]) == ("Fail", "Fail")
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    selected = webhook["namespaceSelector"]
    assert (
        binding["spec"]["matchResources"]["namespaceSelector"]
        == selected
        == {"matchLabels": {"interlock-gated": "scale"}}
    )
    assert webhook["clientConfig"]["service"]["path"] == "/admit/scale"


FLOOR = {
    "sound": (REVIEW, True),
    "an update that changes nothing of ours": (update(), True),
    "less time": (update(activeDeadlineSeconds=10), True),
    "one from before the label that is being deleted loses a finalizer": (let_go(), True),
    "one from before the label that is being deleted loses all": (let_go(new={"finalizers": None}), True),
    "one with notes of others, too": (let_go({"annotations": {"a": "b"}}), True),
    **{
        what: (REFUSED[what][0], False)
        for what in (
            "it names no permit", "it has no annotations", "it has no deadline", "it outlasts the permit",
            "its permit is outside of the folder", "its permit is changed while it runs", "it gets more time",
            *(what for what in REFUSED if what.startswith("one ")),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("what", FLOOR)
def test_the_floors_cel_says_what_it_is_to_say(what):
    cel = pytest.importorskip("cel", reason="no CEL library here: pip install common-expression-language")
    review, expected = FLOOR[what]
    request = review["request"]
    facts = {"object": request["object"], "oldObject": request["oldObject"], "request": request}
    floor, said = parts("floor.yaml")[0]["spec"], []
    (applies,) = (cel.evaluate(it["expression"], facts) for it in floor["matchConditions"])
    for rule in floor["validations"] if applies else ():
        try:
            said.append(cel.evaluate(rule["expression"], facts))
        except Exception:  # noqa: BLE001  an error is a refusal: failurePolicy
            said.append(False)
    assert all(it is True for it in said) is expected, said
