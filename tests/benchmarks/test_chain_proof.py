"""The proof of the chain in small: a tiny model in the place of the real one, three of its five elicitations."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from interlock.workspace import Place

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def chain(model_folder, monkeypatch):
    """The proof with one subject, of which nothing comes out, and without what takes longest."""
    monkeypatch.syspath_prepend(FOLDER)
    import chain

    monkeypatch.setattr(chain, "CHAINS", (chain.Chain("honest", "codebook@3"),))
    monkeypatch.setattr(chain, "RUNS", tuple(it for it in chain.RUNS if it[2] in {0, 16}))
    monkeypatch.setattr(chain.Chain, "place", lambda self, folder: Place(model_folder, None))
    return chain


def test_the_gate_opens_at_the_last_elicitation_and_killed_before_it_the_chain_goes_on(chain, tmp_path, monkeypatch):
    ran = []

    def killed(workspace, plan, run=chain.execute.run, **more):
        ran.append(plan.protocol.elicitation)
        if ran == ["prompted", "few-shot", "fine-tuned"]:
            raise KeyboardInterrupt
        return run(workspace, plan, **more)

    out = tmp_path / "out"
    command = ["chain", "--out", str(out), "--markdown", str(tmp_path / "it.md"), "--plot", str(tmp_path / "it.svg")]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(chain.execute, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        chain.main()
    assert chain.main() == chain.main() == 0
    assert ran == ["prompted", "few-shot", "fine-tuned", "fine-tuned"]
    told = (tmp_path / "it.md").read_text()
    rows = [line.split("|")[1:-1] for line in told.splitlines() if "/120" in line]
    assert [(row[0].strip(), row[1].strip(), row[-1].strip()) for row in rows] == [
        ("asked plainly", "0/120", "hold"),
        ("5 shots", "0/120", "hold"),
        ("tuned on 16", "0/120", "permit"),
    ]
    assert "At the end: **permit**" in told
    assert "honest: permit at the end" in (tmp_path / "it.svg").read_text()
