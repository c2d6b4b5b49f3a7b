"""Passphrases: one place after another, and never an empty one."""

from __future__ import annotations

import os
import threading

import pytest

from interlock.errors import UsageError
from interlock.evidence.passphrase import FILE_VARIABLE, VARIABLE, Passphrases


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "passphrase"
    path.write_bytes(b"from the file\n")
    return path


def typed(*answers):
    left = list(answers)
    return lambda prompt: left.pop(0)


def test_the_file_comes_before_the_variable_and_both_before_the_terminal(file, monkeypatch, tmp_path):
    asked = Passphrases(ask=typed("typed", "typed", "typed"))
    assert asked.to_open(tmp_path / "a.key") == asked.for_new("`a`") == b"typed"
    monkeypatch.setenv(VARIABLE, "from the variable")
    assert asked.to_open(tmp_path / "a.key") == asked.for_new("`a`") == b"from the variable"
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    assert asked.to_open(tmp_path / "a.key") == b"from the file"
    other = tmp_path / "other"
    other.write_bytes(b"named\r\n")
    assert Passphrases(other, asked.ask).to_open(tmp_path / "a.key") == b"named"


@pytest.mark.parametrize(
    ("content", "read"), [(b"a", b"a"), (b"a\n\n", b"a\n"), (b" a b ", b" a b "), ("ä".encode(), "ä".encode())]
)
def test_a_file_is_taken_as_it_is_but_for_one_line_end(tmp_path, content, read):
    (tmp_path / "p").write_bytes(content)
    assert Passphrases(tmp_path / "p").to_open(tmp_path) == read


def test_a_passphrase_comes_through_a_pipe_once_for_all_keys(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"piped\n",))
    writer.start()
    piped = Passphrases(tmp_path / "pipe")
    assert [piped.to_open(tmp_path / "a"), piped.to_open(tmp_path / "b"), piped.for_new("`c`")] == [b"piped"] * 3
    writer.join()
    assert "piped" not in repr(piped)


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_file_is_no_passphrase(tmp_path, content):
    (tmp_path / "p").write_bytes(content)
    for ask in (Passphrases(tmp_path / "p").to_open, Passphrases(tmp_path / "p").for_new):
        with pytest.raises(UsageError, match=r"is empty, expected a passphrase.*--no-passphrase"):
            ask(tmp_path)


def test_a_secret_that_failed_to_arrive_makes_no_key_in_the_clear(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "")
    for passphrases in (Passphrases(), Passphrases(ask=typed("x", "x"))):
        with pytest.raises(UsageError, match=f"`{VARIABLE}` is empty"):
            passphrases.for_new("`a`")
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(UsageError, match="what was typed is empty"):
        Passphrases(ask=typed("")).for_new("`a`")


def test_where_nobody_can_be_asked_the_ways_are_named(tmp_path):
    with pytest.raises(UsageError, match=f"a.key` is encrypted.*--passphrase-file, {FILE_VARIABLE} or {VARIABLE}"):
        Passphrases().to_open(tmp_path / "a.key")
    with pytest.raises(UsageError, match=r"no passphrase to encrypt it with.*--no-passphrase"):
        Passphrases().for_new("`a`")


def test_two_different_answers_make_no_key():
    with pytest.raises(UsageError, match="two different passphrases were typed") as caught:
        Passphrases(ask=typed("one thing", "another")).for_new("`a`")
    assert "one thing" not in str(caught.value)


def test_what_is_no_passphrase_is_refused_and_not_shown(tmp_path):
    for content in (b"s" * 1024, b"secret\0"):
        (tmp_path / "p").write_bytes(content)
        with pytest.raises(UsageError, match="too long or binary") as caught:
            Passphrases(tmp_path / "p").to_open(tmp_path)
        assert content.decode() not in str(caught.value)
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageError, match="cannot read the passphrase file"):
            Passphrases(path).to_open(tmp_path)
    assert Passphrases(ask=typed("x")).to_open(tmp_path) == b"x"


def test_whether_there_is_a_passphrase_at_all(file, monkeypatch):
    assert not Passphrases().can_open()
    assert Passphrases(file).can_open()
    assert Passphrases(ask=typed()).can_open()
    monkeypatch.setenv(VARIABLE, "x")
    assert Passphrases().can_open()
