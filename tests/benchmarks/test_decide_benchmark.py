"""The benchmark's first part in small: no defective input permits, and the other engines are asked a fair question."""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
PEERS = all(find_spec(name) for name in ("cedarpy", "regopy"))


@pytest.fixture(scope="module")
def inputs():
    sys.path.insert(0, str(FOLDER))
    try:
        import _inputs

        yield _inputs
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def styles(inputs):
    import_module("torch")  # after regopy it would end the process, and later tests load it
    import _peers

    return _peers.styles()


def test_the_sound_input_permits_and_the_bad_one_holds(inputs):
    assert inputs.SOUND.draft().decide() == ("permit", ())
    verdict, reasons = inputs.BAD.draft().decide()
    assert verdict == "hold"
    assert "reached" in reasons


def test_no_defective_input_permits(inputs):
    permitted = [it.title for it in inputs.DEFECTIVE if it.draft().decide()[0] not in {"hold", "refused"}]
    assert permitted == []


def test_every_hold_and_every_refusal_has_a_reason(inputs):
    silent = [it.title for it in inputs.DEFECTIVE if not all(it.draft().decide()[1])]
    assert silent == []


def test_there_are_inputs_of_every_kind_and_no_two_alike(inputs):
    assert len(inputs.DEFECTIVE) >= 24
    texts = [it.document().text for it in inputs.DEFECTIVE]
    assert len(set(texts)) == len({it.title for it in inputs.DEFECTIVE}) == len(inputs.DEFECTIVE)
    assert inputs.SOUND.document().text not in texts


@pytest.mark.skipif(not PEERS, reason="cedarpy and regopy are not installed: pip install -e '.[bench]'")
class TestTheOthers:
    def test_all_permit_the_sound_input(self, inputs, styles):
        assert {name: it.ask(inputs.SOUND.document().text).verdict for name, it in styles.items()} == dict.fromkeys(
            styles, "permit"
        )

    def test_all_deny_the_bad_input(self, inputs, styles):
        assert {name: it.ask(inputs.BAD.document().text).verdict for name, it in styles.items()} == dict.fromkeys(
            styles, "deny"
        )

    def test_a_forbid_that_cannot_be_evaluated_is_skipped_and_a_condition_in_the_permit_is_not(self, inputs, styles):
        absent = next(it for it in inputs.DEFECTIVE if it.title == "no score").document().text
        assert {name: it.ask(absent).verdict for name, it in styles.items()} == {
            "Cedar (a)": "permit",
            "Cedar (b)": "deny",
            "Cedar (c)": "refused",
            "Rego (a)": "permit",
            "Rego (b)": "deny",
            "Rego (c)": "deny",
        }

    def test_what_a_rule_was_written_for_is_denied_in_every_style(self, inputs, styles):
        meant = [it for it in inputs.DEFECTIVE if it.group in {"age", "who signed", "what was measured"}]
        wrong = [
            (it.title, n) for it in meant for n, s in styles.items() if s.ask(it.document().text).verdict != "deny"
        ]
        assert len(meant) >= 20
        assert wrong == []
