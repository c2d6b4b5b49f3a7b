"""`interlock slurm check`: for how long a permit on the controller opens an action; everything else is no minutes."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

import lab
import permit_lab
from interlock import cli
from interlock.decide.decision import timestamp
from interlock.gate import narrowing, permit_file
from interlock.workspace import now


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm")
    workspace = permit_lab.evaluated(folder / "lab")
    permit, _ = permit_lab.files(workspace, folder / "gate")
    (folder / "permits").mkdir()
    (folder / "permits" / "good.json").write_bytes(permit.read_bytes())
    digest = permit_lab.issue(workspace)
    end = (now() + timedelta(seconds=45)).replace(microsecond=0)
    brief = narrowing.narrow(workspace, digest, narrowing.Less(not_after=end), at=now())
    workspace.refresh()
    (folder / "permits" / "brief.json").write_bytes(permit_file.export(workspace, brief))
    flipped = bytearray(permit.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (folder / "permits" / "flipped.json").write_bytes(bytes(flipped))
    return folder


def check(capsys, folder, name, *options):
    capsys.readouterr()
    trust = folder / "gate" / "trust.json"
    told = ["slurm", "check", name, "--permits", str(folder / "permits"), "--trust", str(trust), *options]
    return lab.Said(cli.run(told), *capsys.readouterr())


def test_a_sound_permit_gives_the_whole_minutes_that_it_leaves(place, capsys):
    said = check(capsys, place, "good.json")
    assert said.code == 0
    assert int(said.out.partition(" minutes, until ")[0]) > 60
    assert check(capsys, place, "good.json", "--json").json["minutes"] > 60


def test_a_clock_that_has_shown_a_later_time_before_gives_none(place, capsys, tmp_path):
    seen = tmp_path / "seen"
    assert check(capsys, place, "good.json", "--seen", str(seen)).code == 0
    seen.write_text(json.dumps({"seen": timestamp(now() + timedelta(minutes=5))}))
    said = check(capsys, place, "good.json", "--seen", str(seen))
    assert (said.code, said.out) == (3, "")
    assert "before the latest time seen" in said.err


@pytest.mark.parametrize(
    ("name", "options", "code", "why"),
    [
        ("absent.json", (), 3, "no permit `absent.json`"),
        ("brief.json", (), 3, "in less than a minute"),
        ("flipped.json", (), 4, ""),
        ("good.json", ("-a", "deploy-api"), 3, "expected one for `deploy-api`"),
        ("good.json", ("--deployment", "1" * 64), 3, "is for deployment the bare model, expected one for 1111"),
        ("good.json", ("--deployment", "api"), 2, "expected 64 hexadecimal digits"),
        ("../gate/permit.json", (), 2, "expected letters"),
        (".hidden", (), 2, "expected letters"),
        ("good.json;id", (), 2, "expected letters"),
    ],
)
def test_everything_else_gives_none(place, capsys, name, options, code, why):
    said = check(capsys, place, name, *options)
    assert (said.code, said.out) == (code, "")
    assert why in said.err
