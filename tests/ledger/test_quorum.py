"""Quorum files: what is refused, and which cosignatures count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair
from interlock.ledger import merkle
from interlock.ledger._signed import Log
from interlock.ledger.note import COSIGNATURE, ED25519, Checkpoint, Note, NoteKey, NoteSignature, cosign, sign
from interlock.ledger.quorum import check, parse, parse_logs
from ledger.ledgers import KEY, ORIGIN, at

LOG = NoteKey(ORIGIN, KEY.public)
OTHER_LOG = NoteKey("example.com/other", KeyPair.generate().public)
PAIRS = {name: KeyPair.generate() for name in ("a", "b", "c", "d")}
KEYS = {name: NoteKey(f"example.com/{name}", pair.public, COSIGNATURE) for name, pair in PAIRS.items()}
WITNESSES = "".join(f"witness {name} {key.vkey}\n" for name, key in KEYS.items())
NOW = at(1000)
TIME = int(NOW.timestamp())


def quorum(rest: str, head: str = ""):
    return parse((head + WITNESSES + rest).encode(), "quorum")


def cosigned(*names: str, time: int = TIME, size: int = 3) -> bytes:
    text = Checkpoint(ORIGIN, size, merkle.leaf_hash(b"x")).text
    own = sign(text, ORIGIN, KEY), cosign(text, ORIGIN, KEY, time=TIME - 60)
    lines = (cosign(text, f"example.com/{name}", PAIRS[name], time=time) for name in names)
    return Note(text, (*own, *lines)).to_bytes()


def met(rest: str, note: bytes) -> bool:
    return check(note, quorum(rest), log=LOG_OF_KEY, now=NOW).met


LOG_OF_KEY = Log(ORIGIN, KEY.public)


# What is asked for


@pytest.mark.parametrize(
    ("rest", "enough", "too_few"),
    [
        ("quorum a\n", ["a"], "bcd"),
        ("group g any a b\nquorum g\n", ["a", "b", "ab"], "cd"),
        ("group g all a b\nquorum g\n", ["ab", "abc"], ["a", "b", "acd"]),
        ("group g 2 a b c\nquorum g\n", ["ab", "bc", "ac", "abc"], ["a", "ad", "cd"]),
        (
            "group x 2 a b c\ngroup y any d\ngroup both all x y\nquorum both\n",
            ["abd", "abcd", "bcd"],
            ["abc", "ad", "d"],
        ),
        ("group x all a b\ngroup y all c d\ngroup one any x y\nquorum one\n", ["ab", "cd"], ["ac", "bd", "a"]),
    ],
    ids=["one witness", "any", "all", "a threshold", "groups of two organisations", "either of two groups"],
)
def test_a_quorum_of(rest, enough, too_few):
    for names in enough:
        assert met(rest, cosigned(*names))
    for names in too_few:
        assert not met(rest, cosigned(*names))
    assert not met(rest, cosigned())


def test_it_says_who_cosigned_when_and_what_is_missing():
    standing = check(cosigned("a", "c", time=TIME - 5), quorum("group g 3 a b c\nquorum g\n"), log=LOG_OF_KEY, now=NOW)
    assert [(it.witness.name, it.time) for it in standing.cosigners] == [
        ("a", at(995)),
        ("b", None),
        ("c", at(995)),
        ("d", None),
    ]
    with pytest.raises(LedgerError, match="`g` is not met: got 2 of 4 witnesses; `b`: no cosignature; `d`: no"):
        standing.require()


def test_comments_tabs_urls_and_empty_lines_are_read():
    read = parse(
        f"# who watches\n\n \t# more\nlog {LOG.vkey} https://log.example/\n\twitness  a\t{KEYS['a'].vkey} "
        "https://a.example/w \nwitness \u212a-\u00e9 ".encode()
        + f"{KEYS['b'].vkey}\ngroup g all a \u212a-\u00e9\nquorum g\n\n".encode(),
        "quorum",
    )
    assert read.logs == (LOG,)
    assert [(it.name, it.url) for it in read.witnesses] == [("a", "https://a.example/w"), ("\u212a-\u00e9", None)]
    assert (read.groups[0].threshold, read.name) == (2, "g")


def test_many_witnesses_and_deep_groups_are_read():
    keys = [NoteKey(f"w{n}", KeyPair.generate().public, COSIGNATURE) for n in range(64)]
    lines = [f"witness w{n} {key.vkey}" for n, key in enumerate(keys)]
    lines += ["group g0 all w0 w1", *(f"group g{n} all g{n - 1}" for n in range(1, 5000)), "quorum g4999", ""]
    assert not check(cosigned("a"), parse("\n".join(lines).encode(), "q"), log=LOG_OF_KEY, now=NOW).met


# What is refused in a file; the number is that of the line

A, B = KEYS["a"].vkey, KEYS["b"].vkey
BAD_FILES = {
    "no quorum": (WITNESSES, "quorum: got no `quorum` line"),
    "nothing": ("", "got no `quorum` line"),
    "quorum none, which asks for nothing": ("quorum none\n", "quorum:1: `quorum none` asks for no witness"),
    "a quorum of a witness that is not there": ("quorum a\n", "quorum:1: `a` is no witness or group"),
    "a quorum of a witness that comes later": (f"quorum a\nwitness a {A}\n", "quorum:1: `a` is no witness"),
    "two quorums": (f"witness a {A}\nquorum a\nquorum a\n", "quorum:3: got a second `quorum` line"),
    "two names for one key": (
        f"witness a {A}\nwitness b {NoteKey('example.com/z', PAIRS['a'].public, COSIGNATURE).vkey}\nquorum a\n",
        "quorum:2: this public key is that of `a` already",
    ),
    "a witness twice": (f"witness a {A}\nwitness b {A}\nquorum a\n", "quorum:2: this public key"),
    "a name twice": (f"witness a {A}\nwitness a {B}\nquorum a\n", "quorum:2: the name `a` is taken"),
    "a group by a witness's name": (f"witness a {A}\ngroup a any a\nquorum a\n", "quorum:2: the name `a` is taken"),
    "a group twice": (
        f"witness a {A}\nwitness b {B}\ngroup g any a\ngroup g any b\nquorum g\n",
        "quorum:4: the name `g` is taken",
    ),
    "a witness called none": (f"witness none {A}\nquorum none\n", "quorum:1: the name `none` is taken"),
    "a group that contains itself": (f"witness a {A}\ngroup g any a g\nquorum g\n", "quorum:2: `g` is no witness"),
    "groups in a circle": (
        f"witness a {A}\ngroup g any a h\ngroup h any g\nquorum g\n",
        "quorum:2: `h` is no witness or group of a line before",
    ),
    "a member twice": (f"witness a {A}\ngroup g 2 a a\nquorum g\n", "quorum:2: `a` is a member of `g` already"),
    "a member of two groups": (
        f"witness a {A}\nwitness b {B}\ngroup g all a\ngroup h all a b\nquorum h\n",
        "quorum:4: `a` is a member of `g` already",
    ),
    "a member none": (f"witness a {A}\ngroup g any none a\nquorum g\n", "quorum:2: `none` is no witness"),
    "a group of nobody": (f"witness a {A}\ngroup g any\nquorum a\n", "quorum:2: expected `group NAME"),
    "a threshold of zero": (f"witness a {A}\ngroup g 0 a\nquorum g\n", "quorum:2: got threshold `0`, expected"),
    "a threshold above its members": (f"witness a {A}\ngroup g 2 a\nquorum g\n", "quorum:2: got threshold `2`"),
    "a threshold with a leading zero": (f"witness a {A}\ngroup g 01 a\nquorum g\n", "quorum:2: got threshold"),
    "a threshold in other digits": (f"witness a {A}\ngroup g \u0661 a\nquorum g\n", "quorum:2: got threshold"),
    "a threshold without end": (f"witness a {A}\ngroup g {'9' * 5000} a\nquorum g\n", "quorum:2: got threshold"),
    "a log among the witnesses": (f"witness a {LOG.vkey}\nquorum a\n", "quorum:1: got a verifier key of type 1"),
    "a witness among the logs": (f"log {A}\nwitness a {A}\nquorum a\n", "quorum:1: got a verifier key of type 4"),
    "a witness with a log's key": (
        f"log {NoteKey('example.com/l', PAIRS['a'].public).vkey}\nwitness a {A}\nquorum a\n",
        "quorum:2: this public key is that of `example.com/l` already",
    ),
    "a log with a witness's key": (
        f"witness a {A}\nlog {NoteKey('example.com/l', PAIRS['a'].public).vkey}\nquorum a\n",
        "quorum:2: this public key is that of `a` already",
    ),
    "a log twice": (
        f"log {LOG.vkey}\nlog {NoteKey('example.com/l', KEY.public).vkey}\nwitness a {A}\nquorum a\n",
        "quorum:2: this public key",
    ),
    "a key that is none": (f"witness a {A[:-4]}\nquorum a\n", "quorum:1: got verifier key"),
    "a key with another's id": (
        f"witness a example.com/a+00000000+{A.split('+', 2)[2]}\nquorum a\n",
        "quorum:1: verifier key `example.com/a`: got id",
    ),
    "a word too many": (f"witness a {A} https://a https://b\nquorum a\n", "quorum:1: expected `witness NAME VKEY"),
    "a log without a key": ("log\n", "quorum:1: expected `log VKEY"),
    "a quorum of two": (f"witness a {A}\nquorum a a\n", "quorum:2: expected `quorum NAME`"),
    "an unknown word": (f"witness a {A}\nminimum 2\nquorum a\n", "quorum:2: got `minimum`, expected `log`"),
    "a word in capitals": (f"Witness a {A}\nquorum a\n", "quorum:1: got `Witness`"),
    "a line that was cut off": (
        f"witness a {A}\nwitness b {B}\ngroup ab all a b\nquorum a",
        "quorum:4: got a line without a newline",
    ),
    "Windows line ends": (f"witness a {A}\r\nquorum a\r\n", "quorum:1: got control character 0x0D"),
    "a form feed for a space": (f"witness\fa {A}\nquorum a\n", "quorum:1: got control character 0x0C"),
    "a space that is not ASCII": (f"witness\u00a0a {A}\nquorum a\n", "quorum:1: got `witness\\xa0a`"),
    "a delete character": (f"# \x7f\nwitness a {A}\nquorum a\n", "quorum:1: got control character 0x7F"),
    "bytes that are no UTF-8": (b"# \xff\n", "quorum:1: got bytes that are not UTF-8"),
    "too many bytes": (b"#" * ((1 << 20) + 1), "expected at most"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_is_refused_that_has(case):
    text, match = BAD_FILES[case]
    with pytest.raises(UsageError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), "quorum")
    assert match in str(caught.value)


def test_a_list_of_logs_has_only_logs():
    assert parse_logs(f"# mine\nlog {LOG.vkey}\nlog {OTHER_LOG.vkey}\n".encode(), "logs") == (LOG, OTHER_LOG)
    with pytest.raises(UsageError, match="logs:1: got `witness`, expected `log`"):
        parse_logs(WITNESSES.encode(), "logs")


# What does not count


def test_attack_a_cosignature_from_the_future_does_not_count():
    assert met("quorum a\n", cosigned("a", time=TIME))
    for time in (TIME + 1, TIME + 10**9, 2**63 - 1):
        standing = check(cosigned("a", time=time), quorum("quorum a\n"), log=LOG_OF_KEY, now=NOW)
        assert not standing.met
        assert "dated in the future" in standing.cosigners[0].problem


def test_attack_the_log_is_no_witness_of_itself():
    own = NoteKey(ORIGIN, KEY.public, COSIGNATURE)  # whose cosignature stands under every checkpoint
    alias = NoteKey("example.com/independent", KEY.public, COSIGNATURE)
    text = Note.parse(cosigned()).text
    lines = (*Note.parse(cosigned()).signatures, cosign(text, alias.name, KEY, time=TIME))
    for key in (own, alias):
        read = parse(f"witness w {key.vkey}\nquorum w\n".encode(), "quorum")
        standing = check(Note(text, lines).to_bytes(), read, log=LOG_OF_KEY, now=NOW)
        assert not standing.met
        assert "log's own key" in standing.cosigners[0].problem


def test_attack_one_cosignature_under_many_names_counts_for_its_own_only():
    """A v1 cosignature does not cover the name: the same bytes are put under the other witnesses' names and ids."""
    blob = Note.parse(cosigned("a")).signatures[2].blob
    text = Note.parse(cosigned()).text
    copies = tuple(NoteSignature(key.name, key.key_id, blob) for key in KEYS.values())
    note = Note(text, (*Note.parse(cosigned()).signatures, *copies)).to_bytes()
    standing = check(note, quorum("group g 2 a b c d\nquorum g\n"), log=LOG_OF_KEY, now=NOW)
    assert [it.time is not None for it in standing.cosigners] == [True, False, False, False]
    assert not standing.met


def test_attack_a_line_twice_counts_not_even_once():
    lines = Note.parse(cosigned("a", "a")).signatures
    assert not met("quorum a\n", Note(Note.parse(cosigned()).text, lines).to_bytes())


def test_attack_a_cosignature_of_another_tree_or_log_or_as_a_plain_signature_does_not_count():
    text = Note.parse(cosigned()).text
    own = Note.parse(cosigned()).signatures
    plain = sign(text, "example.com/a", PAIRS["a"])
    swapped = (
        Note.parse(cosigned("a", size=4)).signatures[2],
        cosign(text.replace(ORIGIN, "example.com/other"), "example.com/a", PAIRS["a"], time=TIME),
        plain,
        NoteSignature("example.com/a", KEYS["a"].key_id, plain.blob),
        NoteSignature("example.com/a", KEYS["a"].key_id, bytes(72)),
    )
    for line in swapped:
        assert not met("quorum a\n", Note(text, (*own, line)).to_bytes())


def test_attack_witnesses_do_not_stand_in_for_the_log():
    text = Note.parse(cosigned()).text
    lines = Note.parse(cosigned("a", "b")).signatures
    for signatures in (lines[2:], (lines[2], *lines)):
        with pytest.raises(LedgerError, match="checkpoint"):
            check(Note(text, signatures).to_bytes(), quorum("quorum a\n"), log=LOG_OF_KEY, now=NOW)
    with pytest.raises(LedgerError, match="checkpoint"):
        check(cosigned("a"), quorum("quorum a\n"), log=Log(ORIGIN, OTHER_LOG.public), now=NOW)


def test_a_file_that_names_logs_is_for_those_only():
    note = cosigned("a")
    assert check(note, quorum("quorum a\n", f"log {LOG.vkey}\n"), log=LOG_OF_KEY, now=NOW).met
    for other in (OTHER_LOG, NoteKey("example.com/renamed", KEY.public, ED25519)):
        with pytest.raises(LedgerError, match="expected one of a log that the quorum file names"):
            check(note, quorum("quorum a\n", f"log {other.vkey}\n"), log=LOG_OF_KEY, now=NOW)


# Laws

TREES = st.recursive(st.sampled_from("abcd"), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=6)


def _written(tree, lines: list[str], used: set[str], draw) -> str | None:
    """Write a tree of groups as lines, each name a member once; the name that stands for it."""
    if isinstance(tree, str):
        return None if tree in used else used.add(tree) or tree
    members = [name for inner in tree if (name := _written(inner, lines, used, draw)) is not None]
    if not members:
        return None
    name = f"g{len(lines)}"
    lines.append(f"group {name} {draw(st.integers(1, len(members)))} {' '.join(members)}")
    return name


@given(st.data(), TREES, st.sets(st.sampled_from("abcd")), st.sampled_from("abcd"))
def test_law_more_cosignatures_never_break_a_quorum_and_none_never_make_one(data, tree, names, more):
    lines: list[str] = []
    top = _written(tree, lines, set(), data.draw)
    rest = "".join(f"{line}\n" for line in lines) + f"quorum {top}\n"
    assert not met(rest, cosigned())
    assert met(rest, cosigned(*"abcd"))
    if met(rest, cosigned(*sorted(names))):
        assert met(rest, cosigned(*sorted(names | {more})))
