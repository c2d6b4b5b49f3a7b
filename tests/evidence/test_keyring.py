"""A folder of keys: what is used is opened, what is opened is what its public half says, nothing else is touched."""

from __future__ import annotations

import shutil

import pytest

from interlock.errors import UsageError
from interlock.evidence import keys
from interlock.evidence.keyring import Keyring
from interlock.evidence.keys import new_key
from interlock.evidence.passphrase import VARIABLE, Passphrases


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def ring(tmp_path):
    return Keyring(tmp_path / "keys")


def make(ring, *names, passphrase=None):
    return [new_key(ring.private_path(name), passphrase=passphrase).public for name in names]


def test_a_role_signs_with_as_many_keys_as_its_quorum(ring):
    made = make(ring, "a", "b", "c")
    wanted = {key.key_id for key in made[:2]}
    assert [pair.public for pair in ring.signing(wanted, quorum=1, role="r")] == made[:1]
    assert [pair.public for pair in ring.signing(wanted, quorum=2, role="r")] == made[:2]


def test_attack_one_key_under_two_file_names_for_a_quorum_of_two(ring):
    [public] = make(ring, "a")
    for kind in ("key", "pub"):
        shutil.copy2(ring.folder / f"a.{kind}", ring.folder / f"b.{kind}")
    with pytest.raises(UsageError, match=r"`r` signs with 2 key\(s\), found 1 of them"):
        ring.signing({public.key_id}, quorum=2, role="r")


def test_attack_a_private_key_is_swapped_for_another(ring):
    wanted, _ = make(ring, "a", "b")
    shutil.copy2(ring.private_path("b"), ring.private_path("a"))
    with pytest.raises(UsageError, match="not halves of one key"):
        ring.signing({wanted.key_id}, quorum=1, role="r")
    [a, _] = ring.found()
    assert a.problems == ("`a.key` and `a.pub` are not halves of one key",)


def test_keys_that_are_not_needed_are_not_opened(ring):
    make(ring, "locked", passphrase=b"x")
    [public] = make(ring, "open")
    ring.private_path("locked").chmod(0o644)
    assert [pair.public for pair in ring.signing({public.key_id}, quorum=1, role="r")] == [public]


def test_an_encrypted_key_is_opened_once_for_all_its_uses(tmp_path):
    asked = []
    ring = Keyring(tmp_path / "keys", Passphrases(ask=lambda prompt: asked.append(prompt) or "x"))
    make(ring, "a", passphrase=b"x")
    assert ring.pair("a") is ring.pair("a")
    assert asked == [f"passphrase of {ring.private_path('a')}"]


def test_a_wrong_passphrase_is_asked_for_again_the_next_time(tmp_path):
    answers = ["y", "x"]
    ring = Keyring(tmp_path / "keys", Passphrases(ask=lambda prompt: answers.pop(0)))
    make(ring, "a", passphrase=b"x")
    with pytest.raises(UsageError, match="does not open it"):
        ring.pair("a")
    assert ring.pair("a").public == ring.public("a")


def test_whether_a_key_can_sign_is_told_without_opening_it(ring, monkeypatch):
    make(ring, "open")
    make(ring, "locked", passphrase=b"x")
    assert ring.can_sign("open")
    assert not ring.can_sign("locked")
    assert not ring.can_sign("nothing")
    monkeypatch.setenv(VARIABLE, "x")
    assert ring.can_sign("locked")


def test_a_private_key_without_its_public_file_is_told_with_the_remedy(ring):
    [public] = make(ring, "a")
    ring.public_path("a").unlink()
    with pytest.raises(UsageError, match=r"`a\.key` has no \.pub beside it: interlock keys export a"):
        ring.signing({public.key_id}, quorum=1, role="r")
    assert ring.public("a") == public
    [found] = ring.found()
    assert found.problems == ("`a.pub` is missing; make it with: interlock keys export a",)


def test_every_problem_of_a_folder_is_found_and_no_file_hides_another(ring):
    make(ring, "a", "d", "e")
    make(ring, "b", passphrase=b"x")
    ring.private_path("a").chmod(0o640)
    ring.private_path("b").chmod(0o604)
    (ring.folder / "c.pub").write_text("no key\n")
    ring.private_path("d").write_text("no key\n")
    ring.private_path("e").unlink()
    found = {it.name: it for it in ring.found()}
    assert list(found) == ["a", "b", "c", "d", "e"]
    assert [len(it.problems) for it in found.values()] == [1, 1, 1, 1, 0]
    assert "mode 0640" in found["a"].problems[0]
    assert "mode 0604" in found["b"].problems[0]
    assert "not a public key" in found["c"].problems[0]
    assert "not a private key" in found["d"].problems[0]
    assert found["e"].private is None
    assert found["b"].private.encrypted is True


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "-a", "a\n", "a\0"])
def test_a_name_is_a_plain_file_name(ring, name):
    for ask in (ring.private_path, ring.public_path, ring.pair, ring.public):
        with pytest.raises(UsageError, match="a plain file name"):
            ask(name)


def test_a_key_that_is_not_there_is_told_beside_those_that_are(ring):
    make(ring, "a")
    with pytest.raises(UsageError, match=r"no key `b` in .*; there is: `a`"):
        ring.public("b")
    with pytest.raises(UsageError, match="cannot read the key file"):
        ring.pair("b")


def test_a_keyring_shows_no_key(ring):
    make(ring, "a")
    pair = ring.pair("a")
    assert pair._private.private_bytes_raw().hex() not in repr(ring)
    assert "KeyPair" not in repr(ring)
    assert keys.look_at(ring.private_path("a")).problem is None
