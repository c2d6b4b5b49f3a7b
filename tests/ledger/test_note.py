from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import LedgerError
from interlock.evidence.keys import KeyPair
from interlock.ledger import merkle
from interlock.ledger.note import (
    COSIGNATURE,
    Checkpoint,
    Note,
    NoteKey,
    NoteSignature,
    cosign,
    sign,
    verify_cosignature,
    verify_signature,
)

VECTORS = Path(__file__).parents[1] / "vectors"
NOTES = json.loads((VECTORS / "signed-note/notes.json").read_text())
TESSERA = json.loads((VECTORS / "tlog-tiles/log-info.json").read_text())

NAME = "example.com/log"
KEY, OTHER = KeyPair.generate(), KeyPair.generate()
PLAIN, TIMED = NoteKey(NAME, KEY.public), NoteKey(NAME, KEY.public, COSIGNATURE)
TEXT = Checkpoint(NAME, 3, merkle.leaf_hash(b"x")).text


def checkpoint_note(time: int = 1_700_000_000) -> Note:
    return Note(TEXT, (sign(TEXT, NAME, KEY), cosign(TEXT, NAME, KEY, time=time)))


def test_the_note_of_the_go_checksum_database_verifies():
    vector = NOTES["go_sumdb_note"]
    note = Note.parse(vector["note"].encode())
    verify_signature(note, NoteKey.parse(vector["vkey"]))
    assert note.to_bytes() == vector["note"].encode()


def test_the_specification_s_note_verifies_under_its_key():
    text = NOTES["c2sp_signed_note_examples"][1]
    verify_signature(Note.parse(text.encode()), NoteKey.parse(NOTES["c2sp_vkeys"][0]))


@pytest.mark.parametrize(
    "text",
    [*NOTES["c2sp_signed_note_examples"], NOTES["c2sp_cosignature_example"], NOTES["c2sp_checkpoint_example"]],
    ids=["empty lines in the text", "plain", "cosigned", "checkpoint"],
)
def test_the_specification_s_examples_are_read_and_written_back(text):
    assert Note.parse(text.encode()).to_bytes() == text.encode()


def test_the_specification_s_cosignature_has_its_parts():
    note = Note.parse(NOTES["c2sp_cosignature_example"].encode())
    assert Checkpoint.parse(note.text).size == 20852163
    assert note.signatures[1].name == "witness.example.com/w1"
    assert int.from_bytes(note.signatures[1].blob[:8], "big") == 1679315147  # the time that the specification prints
    assert len(note.signatures[1].blob) == 72


@pytest.mark.parametrize("size", range(16))
def test_a_log_written_by_tessera_verifies(size):
    note = Note.parse((VECTORS / f"tlog-tiles/checkpoint.{size}").read_bytes())
    verify_signature(note, NoteKey.parse(TESSERA["vkey"]))
    leaves = [merkle.leaf_hash(item.encode()) for item in TESSERA["leaves"][:size]]
    assert Checkpoint.parse(note.text) == Checkpoint(TESSERA["origin"], size, merkle.root(leaves))


def test_the_go_checksum_database_s_tree_head_is_read():
    vector = NOTES["go_sumdb_tree"]
    root = merkle.leaf_hash(vector["root_is_leaf_hash_of"].encode())
    assert Checkpoint.parse(vector["text"]) == Checkpoint("go.sum database tree", vector["size"], root)
    other, *malformed = vector["bad"]
    assert Checkpoint.parse(other).origin != "go.sum database tree"
    for text in malformed:
        with pytest.raises(LedgerError):
            Checkpoint.parse(text)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_law_a_checkpoint_is_read_back(size, root):
    checkpoint = Checkpoint(NAME, size, root)
    assert Checkpoint.parse(checkpoint.text) == checkpoint


ROOT64 = base64.b64encode(bytes(32)).decode()
BAD_CHECKPOINTS = {
    "no lines": "",
    "no origin": f"\n3\n{ROOT64}\n",
    "two lines": f"{NAME}\n3\n",
    "an extension line": f"{NAME}\n3\n{ROOT64}\nmore\n",
    "no final newline": f"{NAME}\n3\n{ROOT64}",
    "a leading zero": f"{NAME}\n03\n{ROOT64}\n",
    "a sign": f"{NAME}\n+3\n{ROOT64}\n",
    "a minus": f"{NAME}\n-3\n{ROOT64}\n",
    "another alphabet's digit": f"{NAME}\n\N{ARABIC-INDIC DIGIT THREE}\n{ROOT64}\n",
    "a size without end": f"{NAME}\n{'9' * 5000}\n{ROOT64}\n",
    "a root of 31 bytes": f"{NAME}\n3\n{base64.b64encode(bytes(31)).decode()}\n",
    "a root with stray bits": f"{NAME}\n3\n{ROOT64[:-2]}B=\n",
    "a carriage return": f"{NAME}\n3\r\n{ROOT64}\n",
}


@pytest.mark.parametrize("case", BAD_CHECKPOINTS)
def test_a_checkpoint_is_refused_that_has(case):
    with pytest.raises(LedgerError):
        Checkpoint.parse(BAD_CHECKPOINTS[case])


@given(st.integers(0, 2**63 - 1))
def test_law_a_cosignature_tells_its_time(time):
    assert verify_cosignature(checkpoint_note(time), TIMED) == time


@given(st.data())
def test_law_no_byte_of_a_note_changes_unseen(data):
    original = checkpoint_note().to_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != original[at]))
    with pytest.raises(LedgerError):  # noqa: PT012  which of the three refuses depends on the byte
        note = Note.parse(original[:at] + bytes([value]) + original[at + 1 :])
        verify_signature(note, PLAIN)
        verify_cosignature(note, TIMED)


def test_a_signature_is_of_its_kind_only():
    note = checkpoint_note()
    with pytest.raises(LedgerError, match="signature type 4, expected 1"):
        verify_signature(note, TIMED)
    with pytest.raises(LedgerError, match="signature type 1, expected 4"):
        verify_cosignature(note, PLAIN)


def test_a_plain_signature_does_not_pass_as_a_cosignature():
    plain = sign(TEXT, NAME, KEY)
    note = Note(TEXT, (NoteSignature(NAME, TIMED.key_id, bytes(8) + plain.blob),))
    with pytest.raises(LedgerError, match="does not verify over time 0"):
        verify_cosignature(note, TIMED)


def test_a_cosignature_with_another_time_does_not_verify():
    timed = cosign(TEXT, NAME, KEY, time=1_700_000_000)
    note = Note(TEXT, (NoteSignature(NAME, TIMED.key_id, (1_700_000_001).to_bytes(8, "big") + timed.blob[8:]),))
    with pytest.raises(LedgerError, match="does not verify over time 1700000001"):
        verify_cosignature(note, TIMED)


def test_a_note_needs_exactly_one_line_of_the_key():
    line = sign(TEXT, NAME, KEY)
    for lines, got in (((sign(TEXT, NAME, OTHER),), 0), ((line, line), 2)):
        with pytest.raises(LedgerError, match=f"got {got} signature lines"):
            verify_signature(Note(TEXT, lines), PLAIN)


def test_a_wrong_signature_under_a_known_key_id_is_refused():
    forged = NoteSignature(NAME, PLAIN.key_id, OTHER.sign(TEXT.encode()))
    with pytest.raises(LedgerError, match="does not verify"):
        verify_signature(Note(TEXT, (forged,)), PLAIN)


def test_a_verifier_key_is_read_back():
    for key in (PLAIN, TIMED):
        assert NoteKey.parse(key.vkey) == key


VKEY = NOTES["c2sp_vkeys"][0]
BAD_VKEYS = {
    "no parts": "",
    "two parts": "a+b",
    "another name": "x" + VKEY,
    "another id": VKEY.replace("530d903a", "530d903b"),
    "an uppercase id": VKEY.replace("530d903a", "530D903A"),
    "no name": VKEY.removeprefix("example.com/foo"),
    "a name with a space": VKEY.replace("/", " "),
    "no key": "example.com/foo+530d903a+",
    "a short key": VKEY[:-4],
    "a key of another type": "example.com/foo+530d903a+" + base64.b64encode(b"\2" + KEY.public.raw).decode(),
}


@pytest.mark.parametrize("case", BAD_VKEYS)
def test_a_verifier_key_is_refused_that_has(case):
    with pytest.raises(LedgerError):
        NoteKey.parse(BAD_VKEYS[case])


LINE = sign("text\n", NAME, KEY).line()
BAD_NOTES = {
    "nothing": b"",
    "no signature": b"text\n\n",
    "no blank line": b"text\n" + LINE.encode(),
    "no text": b"\n" + LINE.encode(),
    "no final newline": b"text\n\n" + LINE.encode()[:-1],
    "a line after the signatures": b"text\n\n" + LINE.encode() + b"x\n",
    "a hyphen for the dash": b"text\n\n" + LINE.replace("\N{EM DASH}", "-").encode(),
    "a signature without a name": b"text\n\n" + LINE.replace(NAME + " ", "").encode(),
    "an empty name": b"text\n\n" + LINE.replace(NAME, "").encode(),
    "a name with a plus": b"text\n\n" + LINE.replace(NAME, "a+b").encode(),
    "a name with a space that is not ASCII": b"text\n\n" + LINE.replace(NAME, "a\u2003b").encode(),
    "two spaces": b"text\n\n" + LINE.replace(NAME + " ", NAME + "  ").encode(),
    "a carriage return": b"text\r\n\n" + LINE.encode(),
    "a tab": b"te\txt\n\n" + LINE.encode(),
    "a nul": b"te\0xt\n\n" + LINE.encode(),
    "bytes that are not UTF-8": b"te\xffxt\n\n" + LINE.encode(),
    "a signature that is too short": f"text\n\n\N{EM DASH} {NAME} AAAAAA==\n".encode(),
    "base64 with stray bits": b"text\n\n" + LINE.replace("=\n", "B\n").encode() + b"=",
    "65 signatures": b"text\n\n" + LINE.encode() * 65,
    "too many bytes": b"x" * (1 << 16) + b"\n\n" + LINE.encode(),
}


@pytest.mark.parametrize("case", BAD_NOTES)
def test_a_note_is_refused_that_has(case):
    with pytest.raises(LedgerError):
        Note.parse(BAD_NOTES[case])


def test_nothing_is_signed_that_would_not_be_read():
    for text in ("text", "te\rxt\n", ""):
        with pytest.raises(LedgerError):
            sign(text, NAME, KEY)
    with pytest.raises(LedgerError, match="key name"):
        sign("text\n", "a b", KEY)
    for time in (-1, 2**63):
        with pytest.raises(LedgerError, match="got time"):
            cosign(TEXT, NAME, KEY, time=time)
    with pytest.raises(LedgerError, match="expected 1 or 4"):
        NoteKey(NAME, KEY.public, 2)
