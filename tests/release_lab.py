"""A workspace with a subject whose files are really there, and on which nothing holds `release-weights`."""

from __future__ import annotations

import json
import shutil
import struct

import lab
import ledger_lab as made
import permit_lab
from interlock.cli.subjects import register
from interlock.gate import permit as permits
from interlock.workspace import Place, now


def weights(folder, *, seed=0, size=3_000_000):
    """A folder that is a model by its form: a config, and a safetensors file of bytes. Returns it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "part" / "deep").mkdir(parents=True)
    (folder / "part" / "deep" / "empty.txt").write_bytes(b"")
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    body = bytes([seed + 1]) * size
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + body)
    return folder


def make(folder, policy=permit_lab.POLICY):
    """The workspace; its subject `real` lies in `folder/model`."""
    workspace = made.make(folder, policy)
    evaluated(workspace, Place(weights(folder / "model"), None), "real")
    return workspace


def evaluated(workspace, place, name, seed=0):
    """Register a model, and let nothing be known that holds it. Returns its digest."""
    digest = register(workspace, place, name=name, compute=made.COMPUTE).digest
    made.evaluate(workspace, seed=seed, about=digest)
    words = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "a test"}
    made.sign(workspace, made.said("attestation", words, about=digest), "external-auditor")
    return digest


def copy(source, folder):
    """The same workspace and model in another folder."""
    folder.mkdir()
    workspace = lab.copy(source, folder / "lab")
    shutil.copytree(source.folder.parent / "model", folder / "model")
    (digest,) = workspace.places()
    workspace.remember(digest, Place(folder / "model", None))
    return workspace


def issue(workspace, action="release-weights", subject="real", **options):
    """A permit, honestly issued."""
    workspace.refresh()
    issued = permits.issue(workspace, subject=subject, action=action, at=now(), **options)
    assert issued.permit is not None, permits.why(issued.decision)
    return issued.permit
