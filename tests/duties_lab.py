"""A lab with a clock of its own, in which duties run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import lab

NOW = datetime(2027, 1, 11, 12, 0, tzinfo=UTC)


class Lab:
    """The workspace, its clock and its command line."""

    def __init__(self, workspace, capsys, monkeypatch):
        self.workspace, self._capsys, self._monkeypatch = workspace, capsys, monkeypatch
        self.after()

    def after(self, **span):
        self.at = NOW + timedelta(**span)
        lab.later(self._monkeypatch, self.at)

    def run(self, *arguments, code=0):
        said = lab.command(self._capsys, self.workspace, *map(str, arguments))
        assert said.code == code, said
        return said

    def decide(self, action="scale", code=3):
        return self.run("decide", "-s", "m", "-a", action, "--record", "--json", code=code).json

    def duties(self, name="", *, at=None, code=None):
        """The duties of that name, in their order."""
        when = ["--at", at] if at else []
        said = lab.command(self._capsys, self.workspace, "duties", "list", "--json", *when)
        assert said.code in ({0, 3} if code is None else {code}), said
        return [it for it in said.json["duties"] if not name or it["duty"].endswith(name)]

    def states(self, name, **options):
        return [it["state"] for it in self.duties(name, **options)]

    def ignored(self):
        return self.run("duties", "list", "--json", code=3).json["counts_as_nothing"]
