"""Attacks on quorums and on independence: one key that would count for two, one person who would be two roles."""

from __future__ import annotations

import base64
import json
import re

import pytest

import lab
from interlock.errors import EvidenceError, PolicyError
from interlock.evidence import _curve, dsse
from interlock.evidence.keys import KeyPair, load_public, new_key
from interlock.evidence.read import _Reader
from interlock.policy import compile as compiled
from interlock.policy.load import loads

TEXT = lab.POLICY.read_text()
NAMES = ("evaluation-team", "external-auditor", "gatekeeper", "board-1", "board-2", "board-3")


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        new_key(tmp_path / "keys" / f"{name}.key", passphrase=None)
    return tmp_path


def key(folder, name):
    return load_public(folder / "keys" / f"{name}.pub")


def refused(folder, text, match):
    with pytest.raises(PolicyError) as caught:
        loads(text, name="policy.yaml", folder=folder)
    assert any(re.search(match, problem) for problem in caught.value.problems), caught.value.problems


# -- what a policy may say ---------------------------------------------------------------------------------------------


def test_the_policy_without_an_attack_loads(folder):
    assert loads(TEXT, name="policy.yaml", folder=folder).roles["board"].quorum == 2


def test_attack_a_key_file_is_named_twice(folder):
    refused(folder, TEXT.replace("keys/board-2.pub", "keys/board-1.pub"), r"`keys/board-1\.pub` is listed twice")


def test_attack_one_key_lies_in_two_files(folder):
    (folder / "keys" / "board-2.pub").write_bytes((folder / "keys" / "board-1.pub").read_bytes())
    refused(folder, TEXT, r"is used twice in role `board`")


def test_attack_one_key_stands_as_a_file_and_as_its_text(folder):
    refused(folder, TEXT.replace("keys/board-2.pub", str(key(folder, "board-1"))), r"is used twice in role `board`")


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
SPELLED = {
    "no padding": (lambda text: text.rstrip("="), "expected canonical base64"),
    "other stray bits": (
        lambda text: f"{text[:-2]}{ALPHABET[ALPHABET.index(text[-2]) ^ 1]}=",
        "expected canonical base64",
    ),
    "the other alphabet": (lambda text: text.replace("+", "-").replace("/", "_"), "expected canonical base64"),
    "a space within": (lambda text: text.replace("ed25519:", "ed25519: "), "expected canonical base64"),
    "a space behind": (lambda text: text + " ", "expected canonical base64|without white space|white space around"),
    "a capital": (lambda text: text.replace("ed25519:", "Ed25519:"), "expected `ed25519:BASE64` or a relative path"),
    "hexadecimal": (lambda text: f"ed25519:{base64.b64decode(text[8:]).hex()}", "has 48 bytes, expected 32"),
}


@pytest.mark.parametrize("case", SPELLED)
def test_attack_one_key_under_a_second_spelling(folder, case):
    spelled, match = SPELLED[case]
    text = next(str(it.public) for it in iter(KeyPair.generate, None) if {"+", "/"} <= set(str(it.public)))
    (folder / "keys" / "board-1.pub").write_text(text + "\n")
    refused(folder, TEXT.replace("keys/board-2.pub", json.dumps(spelled(text))), match)


def test_attack_one_private_key_has_a_second_public_key(folder):
    """Its twin differs by a point of order 8: another key id, and the same hand signs for both."""
    torsion = next(
        left
        for y in range(2, 100)
        if (point := _curve._decode(y.to_bytes(32, "little")))
        and (four := _curve._times(4, left := _curve._times(_curve._ORDER, point)))[1] != four[2]
    )
    x, y, z, _ = _curve._add(_curve._decode(key(folder, "board-1").raw), torsion)
    x, y = x * pow(z, -1, _curve._P) % _curve._P, y * pow(z, -1, _curve._P) % _curve._P
    twin = (y | (x & 1) << 255).to_bytes(32, "little")
    spelled = "ed25519:" + base64.b64encode(twin).decode()
    refused(folder, TEXT.replace("keys/board-2.pub", spelled), r"expected a point of prime order")


@pytest.mark.parametrize("shared", ["evaluation-team", "gatekeeper", "board-1"])
@pytest.mark.parametrize("spelled", ["file", "text", "copied file"])
def test_attack_the_auditor_is_not_independent(folder, shared, spelled):
    given = {"file": f"keys/{shared}.pub", "text": str(key(folder, shared)), "copied file": "keys/external-auditor.pub"}
    if spelled == "copied file":
        (folder / "keys" / "external-auditor.pub").write_text(f"{key(folder, shared)}\n")
    attacked = TEXT.replace("[keys/external-auditor.pub]", f"[{given[spelled]}]")
    refused(folder, attacked, r"role `external-auditor` is independent of `[a-z-]+` and yet shares a key with it")


def test_attack_independence_is_broken_from_the_other_side(folder):
    """The role that others are independent of takes a key of theirs, among its own."""
    attacked = TEXT.replace("[keys/gatekeeper.pub]", "[keys/gatekeeper.pub, keys/external-auditor.pub]")
    refused(folder, attacked, r"role `external-auditor` is independent of `gatekeeper` and yet shares a key with it")


@pytest.mark.parametrize(
    ("role", "keys", "match"),
    [
        ("board", lambda keys: [keys[0], keys[0], keys[2]], "is used twice in role `board`"),
        ("board", lambda keys: keys[:1], "expected a quorum from 1 to the number of keys, 1, got `2`"),
        ("external-auditor", None, "shares a key with it"),
    ],
)
def test_attack_a_compiled_policy_that_never_was_written(folder, role, keys, match):
    made = compiled.to_json(loads(TEXT, name="policy.yaml", folder=folder))
    listed = made["roles"][role]["keys"]
    made["roles"][role]["keys"] = keys(listed) if keys else made["roles"]["gatekeeper"]["keys"]
    with pytest.raises(EvidenceError, match=match):
        compiled.from_json(made)


# -- what signatures count for -----------------------------------------------------------------------------------------


def first_entry(workspace, signatures):
    """Read a ledger whose policy has these signatures, made from the true ones by key id."""
    view = workspace.ledger.read()
    value = json.loads(view.entries[0].data)
    value["signatures"] = signatures({it["keyid"]: it for it in value["signatures"]})
    reader = _Reader(workspace.policy_digest)
    reader.take(0, json.dumps(value).encode(), view.entries[0].time)
    return reader.versions[0].policy


def test_the_board_s_two_keys_are_its_quorum(registered):
    assert first_entry(registered, lambda it: list(it.values())).roles["board"].quorum == 2


@pytest.mark.parametrize("times", [1, 2, 3, 50])
def test_attack_one_key_signs_again_and_again(registered, times):
    with pytest.raises(EvidenceError, match="signed by the quorum of no role"):
        first_entry(registered, lambda it: [next(iter(it.values()))] * times)


def test_attack_one_key_s_signature_under_another_s_id(registered):
    other = lab.key(registered, "board-3").public.key_id
    with pytest.raises(EvidenceError, match=f"signature by key `{other}` does not verify"):
        first_entry(registered, lambda it: [one := next(iter(it.values())), {**one, "keyid": other}])


@pytest.mark.parametrize(
    "spelled",
    [str.upper, lambda it: it[:16], lambda it: f"sha256:{it}", lambda it: f" {it}", lambda it: it + "0"],
    ids=["capitals", "cut short", "with a prefix", "with a space", "longer"],
)
def test_attack_one_key_signs_under_a_second_spelling_of_its_id(registered, spelled):
    with pytest.raises(EvidenceError, match="signed by the quorum of no role"):
        first_entry(registered, lambda it: [one := next(iter(it.values())), {**one, "keyid": spelled(one["keyid"])}])


def test_attack_a_key_of_the_board_and_a_stranger_s(registered):
    stranger, payload = KeyPair.generate(), dsse.parse(registered.ledger.read().entries[0].data)
    signed = json.loads(dsse.sign(payload.payload, payload.payload_type, [stranger]))["signatures"]
    with pytest.raises(EvidenceError, match="signed by the quorum of no role"):
        first_entry(registered, lambda it: [next(iter(it.values())), *signed])


def test_attack_a_key_of_the_board_and_one_of_another_role(registered):
    payload = dsse.parse(registered.ledger.read().entries[0].data)
    auditor = lab.key(registered, "external-auditor")
    signed = json.loads(dsse.sign(payload.payload, payload.payload_type, [auditor]))["signatures"]
    with pytest.raises(EvidenceError, match="the policy is not signed by `board`"):
        first_entry(registered, lambda it: [next(iter(it.values())), *signed])
