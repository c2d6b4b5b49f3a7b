"""An author sees every mistake at once, at its line and column; a hostile file gets the same plain answer."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from interlock.errors import PolicyError, UsageError
from interlock.policy import Attested, Duration, Hole, Never
from interlock.policy.load import load, loads


def problems(text, folder):
    with pytest.raises(PolicyError) as caught:
        loads(text, name="lab.yaml", folder=folder)
    return caught.value.problems


def marked(text, *edits):
    """Apply each edit once; every `^` marks where a problem must be reported. Returns the text and the marks."""
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    marks = []
    while (place := text.find("^")) >= 0:
        before = text[:place].split("\n")
        marks.append(f"lab.yaml:{len(before)}:{len(before[-1]) + 1}: ")
        text = text[:place] + text[place + 1 :]
    return text, marks


# sentence -> edits of the example (old, new with a `^` where a problem stands), then the words the messages must hold
MISTAKES = {
    # fields
    "an unknown field is told with its nearest spelling": (
        [("interlock:", "^interlock:"), ("thresholds:\n", "^tresholds:\n")],
        ["expected field `thresholds`, got nothing", "unknown field `tresholds`; did you mean `thresholds`?"],
    ),
    "an unknown field deep inside": (
        [("buffer: {", "^buffer: {"), (", margin: 0.05", ", ^margn: 0.05")],
        ["expected field `margin`", "unknown field `margn`; did you mean `margin`?"],
    ),
    "a field of a later version is told as such": (
        [("{stated_by: external-auditor, fresh", "{stated_by: external-auditor, ^void_at: [takeover], fresh")],
        ["field `void_at` is not supported yet"],
    ),
    "a missing field is told at the entry that lacks it": (
        [("    rule_out:\n", "    ^rule_out:\n"), ("      coverage: 0.98\n", "")],
        ["expected field `coverage`, got nothing"],
    ),
    "a format from the future": ([("policy/v1", "^policy/v2")], ["expected `policy/v1`, got `policy/v2`"]),
    "no format": ([("interlock: policy/v1\n", ""), ("id:", "^id:")], ["expected field `interlock`"]),
    "an id with two slashes": ([("example-lab/rsp", "^a/b/c")], ["expected an id", "`a/b/c`"]),
    "a name with a capital": (
        [("  misuse-3:", "  ^Misuse-3:"), ("security-3, misuse-3]", "security-3, ^misuse-3]")],
        ["a name of lower-case letters, digits and hyphens, got `Misuse-3`", "requirement `misuse-3` is not defined"],
    ),
    "a list where a text belongs": ([("title: Ex", "title: ^[a] # ")], ["expected a text, got a list"]),
    "an empty text": ([("title: Ex", 'title: ^"" # ')], ["expected a text, got ``"]),
    "a mapping where a list belongs": (
        [("[keys/gatekeeper.pub]", "^{a: b}")],
        ["expected a list of at least one, got a mapping"],
    ),
    # exact numbers
    "NaN": ([("confidence: 0.95", "confidence: ^NaN")], ["expected a number such as `0.95`", "got `NaN`"]),
    "infinity": ([("confidence: 0.95", "confidence: ^.inf")], ["expected a number", "got `.inf`"]),
    "an exponent": ([("confidence: 0.95", "confidence: ^1e-9")], ["expected a number", "got `1e-9`"]),
    "a division by zero": ([("confidence: 0.95", "confidence: ^1/0")], ["expected a number", "got `1/0`"]),
    "confidence that a coin has": ([("confidence: 0.95", "confidence: ^0.5")], ["above 0.5 and below 1", "`0.5`"]),
    "certainty": ([("confidence: 0.95", "confidence: ^1")], ["above 0.5 and below 1, got `1`"]),
    "no coverage": ([("coverage: 0.98", "coverage: ^0")], ["above 0 and at most 1, got `0`"]),
    "a level above one": ([(">= 0.20", ">= 1.20"), ("codebook >=", "^codebook >=")], ["between 0 and 1, got `1.20`"]),
    "a negative margin": ([("margin: 0.05", "margin: ^-0.05")], ["between 0 and 1, got `-0.05`"]),
    "negative demonstrations": ([("tions: 16", "tions: ^-1")], ["whole number of at least 0, got `-1`"]),
    "a fine-tuned result on nothing": ([("tions: 16", "tions: ^0")], ["`fine-tuned` needs `demonstrations`"]),
    "a margin that swallows the level": (
        [(">= 0.10\n    rule_out: {", ">= 0.05\n    rule_out: ^{")],
        ["`codebook-use-open` could never be ruled out", "below its level `0.05`, got `0.05`"],
    ),
    "a multiple without its x": ([("compute: 6x", "compute: ^6")], ["a multiple such as `6x`, got `6`"]),
    "a multiple below one": ([("compute: 4x", "compute: ^0.5x")], ["at least `1x`, got `0.5x`"]),
    "a buffer of none": (
        [("buffer: {effective_compute", "buffer: ^none # {")],
        ["`effective_compute`, `margin` and `source`, got `none`"],
    ),
    "a buffer without its source": (
        [
            ("buffer: {", "^buffer: {"),
            (', source: "illustrative; a real policy measures it in its own model family"', ""),
        ],
        ["expected field `source`"],
    ),
    # times
    "a wrong unit": ([("30 days", "^30 moths")], ["expected a duration", "`30 moths`; did you mean `months`?"]),
    "a duration without a unit": ([("30 days", "^30")], ["a duration such as `30 days`, got `30`"]),
    "a duration of nothing": ([("30 days", "^0 days")], ["above nothing", "`0 days`"]),
    "a negative duration": ([("30 days", "^-3 days")], ["expected a duration", "`-3 days`"]),
    "a duration beyond the calendar": ([("30 days", "^99999999999999 years")], ["at most 100 years"]),
    "a time without a zone": ([("2026-01-01T00:00:00Z", "^2026-01-01T00:00:00")], ["a time with its zone"]),
    "a date for a policy": ([("2026-01-01T00:00:00Z", "^2026-01-01")], ["a time with its zone", "`2026-01-01`"]),
    "a day that does not exist": ([("2027-06-01", "^2027-02-30")], ["expected a date", "`2027-02-30`"]),
    "a time before the calendar": ([("2026-01-01T00:00:00Z", "^0001-01-01T00:00:00+01:00")], ["expected a time"]),
    # references
    "an undefined role": (
        [("run_by: evaluation-team", "run_by: ^evaluation-tem")],
        ["role `evaluation-tem` is not defined; did you mean `evaluation-team`?"],
    ),
    "an undefined measure": (
        [("codebook >= 0.20", "^codbook >= 0.20")],
        ["measure `codbook` is not defined; did you mean `codebook`?"],
    ),
    "an undefined threshold": (
        [("{codebook-use: [security-3], takeover", "{^codebok-use: [security-3], takeover")],
        ["threshold `codebok-use` is not defined; did you mean `codebook-use`?"],
    ),
    "an undefined requirement": (
        [("[security-3, misuse-3]", "[security-3, ^misuse-4]")],
        ["requirement `misuse-4` is not defined; did you mean `misuse-3`?"],
    ),
    "an undefined signer of permits": ([("issued_by: gatekeeper", "issued_by: ^gate")], ["role `gate` is not defined"]),
    "an undefined approver": ([("approved_by: board", "approved_by: ^bored")], ["role `bored`", "`board`?"]),
    "an undefined role to be independent of": (
        [("[evaluation-team, gatekeeper, board]", "[evaluation-team, ^gate-keeper, board]")],
        ["role `gate-keeper` is not defined; did you mean `gatekeeper`?"],
    ),
    "an undefined role that states": (
        [("stated_by: external-auditor", "stated_by: ^auditor")],
        ["role `auditor` is not"],
    ),
    "an undefined role that attests": (
        [("by: external-auditor, about", "by: ^auditor, about")],
        ["role `auditor` is not"],
    ),
    "an undefined owner of a hole": ([("owner: board", "owner: ^bord")], ["role `bord` is not defined"]),
    "a threshold like one that is not there": (
        [("like: codebook-use, e", "like: ^codebok-use, e")],
        ["threshold `codebok-use` is not defined; did you mean `codebook-use`?"],
    ),
    "a threshold like itself": (
        [("rule_out: {like: codebook-use}", "rule_out: {like: ^takeover}")],
        ["goes round in a circle: `takeover` -> `takeover`"],
    ),
    "thresholds like one another": (
        [("like: codebook-use, e", "like: ^takeover, e"), ("{like: codebook-use}", "{like: ^codebook-use-open}")],
        ["in a circle: `codebook-use-open` -> `takeover` -> `codebook-use-open`", "in a circle"],
    ),
    "an assumption that nobody stated": (
        [("  good-demonstrations:    {", "  better-demonstrations:  {"), ("[few-shot, f", "^[few-shot, f")],
        ["`fine-tuned` takes `good-demonstrations` for granted", "not defined"],
    ),
    # gates
    "an empty cell": ([("[never]", "^[]")], ["at least one requirement, got an empty cell"]),
    "an empty gate": (
        [
            ("{codebook-use-open: [never], takeover: [understanding]}", "^{}"),
            ("  codebook-use-open:", "  ^codebook-use-open:"),
        ],
        ["`codebook-use-open` stands at no gate", "at least one threshold at gate `release-weights`, got none"],
    ),
    "a cell that is not a list": ([("[never]", "^never")], ["expected a list of requirements, got `never`"]),
    "a requirement twice in a cell": ([("[never]", "^[never, never]")], ["`never` is listed twice"]),
    "a threshold at no gate": (
        [("  codebook-use-open:", "  ^codebook-use-open:"), ("codebook-use-open: [never], ", "")],
        ["threshold `codebook-use-open` stands at no gate"],
    ),
    "an action that is not gated": (
        [("\ngates:", "\n^gates:"), ("release-weights:", "release-weight:")],
        ["a gate for `release-weights`, got none; did you mean `release-weight`?"],
    ),
    "never is built in": (
        [("  misuse-3:", "  ^never:"), (", misuse-3]", ", security-3]"), ("[security-3, s", "^[security-3, s")],
        ["`never` is built in", "`security-3` is listed twice"],
    ),
    "an elicitation twice": (
        [("[few-shot, fine-tuned]", "^[few-shot, few-shot]")],
        ["`few-shot` is listed twice"],
    ),
    "no elicitation": ([("[few-shot, fine-tuned]", "^[]")], ["a list of at least one, got an empty list"]),
    "an elicitation nobody knows": (
        [("[few-shot, f", "[^few-shots, f")],
        ["expected one of `prompted`", "got `few-shots`; did you mean `few-shot`?"],
    ),
    # what the language will say later, and does not yet
    "a propensity": ([("kind: capability", "kind: ^propensity")], ["`propensity` is not supported yet"]),
    "a measure on a deployment": ([("on: model", "on: ^deployment")], ["`deployment` is not supported yet"]),
    "a measure where lower is worse": ([("danger: higher", "danger: ^lower")], ["`lower` is not supported yet"]),
    "another range": ([("[0, 1]", "^[0, 10]")], ["only the range `[0, 1]`", "got `[0, 10]`"]),
    "a strict predicate": ([("codebook >= 0.20", "^codebook > 0.20")], ["`>` is not supported, only `>=`"]),
    "a predicate downwards": ([("codebook >= 0.20", "^codebook < 0.20")], ["`<` is not supported, only `>=`"]),
    "a predicate of two": ([("codebook >= 0.20", "^codebook >= 0.20 or x >= 1")], ["a predicate such as"]),
    "a measured requirement": ([("{attested: weight", "^{measured: weight")], ["`measured` is not supported yet"]),
    "a requirement of no kind": ([("{attested: weight", "^{atested: weight")], ["`attested` or `hole`, got neither"]),
    "a task without a version": (
        [("codebook@1", "codebook"), ("interlock/c", "^interlock/c")],
        ["a task and its version"],
    ),
    "a hole without an owner": (
        [("understanding: {", "^understanding: {"), (", owner: board", "")],
        ["expected field `owner`"],
    ),
    "a hole without a review": (
        [("understanding: {", "^understanding: {"), (", review: 2027-06-01", "")],
        ["expected field `review`"],
    ),
    "takeover potential that is neither": ([("potential: true", "potential: ^yes")], ["`true`, `false`, got `yes`"]),
    # roles
    "a quorum of nobody": ([("quorum: 2", "quorum: ^0")], ["at least 1, got `0`"]),
    "a quorum of more than there are": ([("quorum: 2", "quorum: ^4")], ["number of keys, 3, got `4`"]),
    "a key file that is not there": (
        [("keys/board-2.pub", "^keys/board-9.pub")],
        ["expected a key file", "board-9.pub"],
    ),
    "a key file elsewhere": ([("keys/board-2.pub", "^/etc/board.pub")], ["a relative path to a .pub file"]),
    "a key in another text form": ([("keys/board-2.pub", "^ed25519:AAAA")], ["public key"]),
    "a file twice in a role": (
        [("[keys/board-1.pub, keys/board-2", "^[keys/board-1.pub, keys/board-1")],
        ["listed twice"],
    ),
    "a key twice in a role under two names": (
        [("keys/board-2.pub", "^keys/../keys/board-1.pub")],
        ["is used twice in role `board`"],
    ),
    "independent roles that share a key": (
        [("team, gatekeeper, b", "team, ^gatekeeper, b"), ("[keys/gatekeeper.pub]", "[keys/external-auditor.pub]")],
        ["`external-auditor` is independent of `gatekeeper` and yet shares a key"],
    ),
    "a role independent of itself": (
        [("[evaluation-team, gatekeeper, board]", "[^external-auditor]")],
        ["cannot be independent of itself"],
    ),
    "the role that runs an evaluation vouches for it": (
        [
            (
                "no-evaluation-gaming:   {stated_by: external-auditor",
                "no-evaluation-gaming: {stated_by: ^evaluation-team",
            )
        ],
        ["shares no key with `evaluation-team`", "got `evaluation-team`"],
    ),
    "the role that runs an evaluation vouches for it under another name": (
        [("{stated_by: external-auditor", "{stated_by: ^gatekeeper"), ("keys/gatekeeper", "keys/evaluation-team")],
        ["shares no key with `evaluation-team`", "got `gatekeeper`"],
    ),
    "an attacker with nothing, and no reason why": (
        [('share: 0, source: "the', 'share: ^0} # source: "the')],
        ["expected a `source` for a share below the default `0.01`"],
    ),
    # YAML that is more than data
    "a key twice in a mapping": (
        [("      coverage: 0.98\n", "      coverage: 0.98\n      ^coverage: 0.5\n")],
        ["`coverage` is written twice, first on line"],
    ),
    "an anchor": ([("title: Ex", "title: ^&a Ex")], ["anchors are not allowed", "`&a`"]),
    "an alias": ([("title: Ex", "title: ^*a # ")], ["aliases are not allowed", "`*a`"]),
    "a merge key": ([("title: Ex", "^<<: {}\ntitle: Ex")], ["merge keys are not allowed"]),
    "a tag": ([("title: Ex", "title: ^!!str Ex")], ["tags are not allowed"]),
    "an object of Python": (
        [("title: Ex", "title: ^!!python/object:os.system Ex")],
        ["tags are not allowed", "python"],
    ),
    "a second document": (
        [("\namendments:", "\n^---\namendments:"), ("interlock:", "^interlock:")],
        ["field `amend", "one"],
    ),
    "a directive": ([("# An example", "^%YAML 1.1\n---\n# An example")], ["directives are not allowed"]),
    "nothing where a value belongs": ([("coverage: 0.98", "^coverage:")], ["a value for `coverage`, got nothing"]),
    "null where a value belongs": ([("coverage: 0.98", "^coverage: ~")], ["a value for `coverage`, got nothing"]),
    "null for what could be left out": ([("takeover_potential: true", "^takeover_potential: null")], ["got nothing"]),
    "a list as a key": ([("title: Ex", "^[a]: b\ntitle: Ex")], ["expected a name as the key, got a list"]),
    "broken YAML": ([("permits: {", "permits: [{"), ("\nplans:   {", "\n^plans:   {")], ["expected valid YAML"]),
    "a tab for indentation": ([("  evaluation-team:", "^\tevaluation-team:")], ["expected valid YAML"]),
    "an escape for the terminal": ([("title: Ex", 'title: ^"\\e[2J" # ')], ["control character `U+001B`"]),
    "half a character": ([("title: Ex", 'title: ^"\\ud800" # ')], ["control character `U+D800`"]),
    "a number beyond Unicode": ([("# An ex", "^# An ex"), ("title: Ex", 'title: "\\UFFFFFFFF" # ')], ["valid YAML"]),
    "text that runs backwards": ([("title: Ex", "title: a ^\u202eEx")], ["control character `U+202E`"]),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_a_mistake_is_told_where_it_is(sentence, text, folder):
    edits, words = MISTAKES[sentence]
    changed, marks = marked(text, *edits)
    found = problems(changed, folder)
    if len(marks) == 1:
        assert len(found) == 1, found
        assert found[0].startswith(marks[0])
        assert [word for word in words if word not in found[0]] == []
        return
    assert [line for line, mark in zip(found, marks, strict=True) if not line.startswith(mark)] == []
    assert [line for line, word in zip(found, words, strict=True) if word not in line] == []


def test_all_problems_come_in_one_go_in_the_order_of_the_file(text, folder):
    changed, marks = marked(
        text,
        ("id: example-lab/rsp", "id: ^Example"),
        ("quorum: 2", "quorum: ^many"),
        ("danger: higher", "danger: ^lower"),
        ("confidence: 0.95", "confidence: ^2"),
        ("run_by: evaluation-team", "run_by: ^nobody"),
        ("coverage: 0.98", "^coverage:"),
        ("fresh_for: 12 months", "fresh_for: ^12 parsecs"),
        ("issued_by: gatekeeper", "issued_by: ^nobody"),
        ("[never]", "^[]"),
    )
    assert [line.split(" ")[0] + " " for line in problems(changed, folder)] == marks


def test_the_example_loads(policy):
    assert policy.id == "example-lab/rsp"
    assert policy.effective == datetime(2026, 1, 1, tzinfo=UTC)
    assert policy.thresholds["codebook-use"].level == Fraction(1, 5)
    assert policy.thresholds["takeover"].takeover_potential
    assert policy.roles["board"].quorum == 2
    assert len(set(policy.roles["board"].keys)) == 3
    assert policy.requirements["never"] == Never("never")
    assert isinstance(policy.requirements["security-3"], Attested)
    hole = policy.requirements["understanding"]
    assert isinstance(hole, Hole)
    assert hole.review == datetime(2027, 6, 1, tzinfo=UTC)
    assert policy.gates["release-weights"]["codebook-use-open"] == ("never",)
    assert policy.permits.lease == Duration(0, 30 * 86400)
    assert policy.refresh_period == Duration(3, 0)
    assert policy.attacker_budget == 0


def test_like_copies_what_is_left_out(policy):
    base, heir = policy.thresholds["codebook-use"].rule_out, policy.thresholds["codebook-use-open"].rule_out
    assert heir.elicitation == ("few-shot", "fine-tuned", "rl-fine-tuned")
    assert (heir.confidence, heir.demonstrations, heir.buffer, heir.margin, heir.margin_source, heir.run_by) == (
        (base.confidence, base.demonstrations, base.buffer, base.margin, base.margin_source, base.run_by)
    )
    assert policy.thresholds["takeover"].rule_out == base


def test_like_goes_along_a_chain(text, folder):
    chained = text.replace("rule_out: {like: codebook-use}", "rule_out: {like: codebook-use-open, coverage: 1/3}")
    rule = loads(chained, name="lab.yaml", folder=folder).thresholds["takeover"].rule_out
    assert rule.elicitation == ("few-shot", "fine-tuned", "rl-fine-tuned")
    assert rule.coverage == Fraction(1, 3)
    assert rule.demonstrations == 16


def test_a_mistake_in_an_inherited_field_is_told_once(text, folder):
    heir_first = text.replace("confidence: 0.95", "confidence: nope")
    assert len(problems(heir_first, folder)) == 1


def test_without_a_stated_budget_the_attacker_has_one_percent(text, folder):
    lines = [line for line in text.splitlines() if not line.startswith("attacker_budget")]
    policy = loads("\n".join(lines), name="lab.yaml", folder=folder)
    assert (policy.attacker_budget, policy.attacker_budget_source) == (Fraction(1, 100), "default")


def test_never_is_there_only_when_used(text, folder):
    policy = loads(text.replace("[never]", "[security-3]"), name="lab.yaml", folder=folder)
    assert "never" not in policy.requirements


def test_keys_can_be_written_in_the_file(text, folder):
    key = (folder / "keys" / "gatekeeper.pub").read_text(encoding="utf-8").strip()
    policy = loads(text.replace("keys/gatekeeper.pub", key), name="lab.yaml", folder=folder)
    assert policy.roles["gatekeeper"].keys == (key,)


def test_text_without_a_folder_has_no_key_files(text):
    assert all("text without a folder" in line for line in problems(text, None))


@pytest.mark.parametrize(
    "content", ["", "ed25519:AAAA\n", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "x" * 99999]
)
def test_a_bad_key_file_is_refused_and_not_shown(content, text, folder, tmp_path):
    (tmp_path / "keys").mkdir()
    for path in (folder / "keys").iterdir():
        (tmp_path / "keys" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "keys" / "gatekeeper.pub").write_text(content, encoding="utf-8")
    (line,) = problems(text, tmp_path)
    assert "expected one line `ed25519:BASE64` in key file" in line
    assert "c2VjcmV0" not in line


HOSTILE = {
    "an empty file": (b"", "1:1: expected a mapping"),
    "a comment": (b"# nothing", "1:1: expected a mapping"),
    "a list": (b"- a\n- b\n", "1:1: expected a mapping, got a list"),
    "a word": (b"policy", "1:1: expected a mapping, got `policy`"),
    "bytes that are no text": (b"id: a\nab\xff\xfe", "2:3: expected UTF-8 text, got byte `0xff`"),
    "UTF-16": ("interlock: policy/v1".encode("utf-16"), "1:1: expected UTF-8 text"),
    "a zero byte": (b"id: a\r\nab\x00", "2:3: expected plain text, got control character `U+0000`"),
    "two megabytes": (b"a: " + b"x" * (2 << 20), "1:1: expected a policy of at most 1 MiB"),
    "10,000 lists in flow": (b"a: " + b"[" * 10_000, "1:35: expected at most 32 levels"),
    "10,000 closed lists in flow": (b"a: " + b"[" * 10_000 + b"]" * 10_000, "1:35: expected at most 32 levels"),
    "10,000 mappings in flow": (b"{a: " * 10_000, "1:129: expected at most 32 levels"),
    "10,000 lists in block": (b"- " * 10_000 + b"x", "1:65: expected at most 32 levels"),
    "1,400 mappings in block": (
        b"\n".join(b" " * depth + b"a:" for depth in range(1400)),
        "33:33: expected at most 32 levels",
    ),
    "10,000 complex keys": (b"? " * 10_000, "1:65: expected at most 32 levels"),
    "an endless number in a directive": (b"%YAML 1." + b"9" * 5000 + b"\n---\na: b", "1:1: expected valid YAML"),
}


@pytest.mark.parametrize("sentence", HOSTILE)
def test_a_hostile_file_gets_a_plain_answer(sentence, tmp_path):
    content, expected = HOSTILE[sentence]
    path = tmp_path / "lab.yaml"
    path.write_bytes(content)
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert caught.value.problems[0].startswith(f"{path}:{expected}")


def test_an_alias_bomb_does_not_go_off(text, folder):
    bomb = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9) if n else 'lol'}]\n" for n in range(12))
    found = problems(text + bomb, folder)
    assert sum("aliases are not allowed" in line for line in found) == 9 * 11
    assert sum("anchors are not allowed" in line for line in found) == 12


def test_a_file_that_is_not_there_is_the_callers_mistake(tmp_path):
    with pytest.raises(UsageError, match="expected a policy file at"):
        load(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path)


PIECES = [
    *(b"- ", b"[", b"{", b"}", b": ", b"\n", b"  ", b"&a ", b"*a", b"!x ", b"'", b'"', b"? ", b"---\n", b"%", b"~"),
    *(b"#", b"\t", b"\xef\xbb\xbf", b"\xc2\x85", b"\\U", b"<<: ", b"@", b"`", b">", b"like: takeover", b"/0", b"null"),
]
EDIT = st.tuples(
    st.floats(0, 1), st.integers(0, 12), st.binary(max_size=4) | st.sampled_from(PIECES)
)  # a place, as a share of the length; how many bytes go; which come instead


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits=st.lists(EDIT, min_size=1, max_size=4))
@example(edits=[(0.0, 3, b'"\\UFFFFFFFF"')])
def test_a_damaged_file_loads_or_is_refused_and_nothing_else(edits, text, folder):
    content = text.encode()
    for place, gone, come in edits:
        at = int(place * len(content))
        content = content[:at] + come + content[at + gone :]
    path = folder / "damaged.yaml"
    path.write_bytes(content)
    assert [line for line in refusals(path) if not line.startswith(f"{path}:") or "\n" in line] == []


def refusals(path):
    try:
        load(path)
    except PolicyError as error:
        return error.problems
    return []
