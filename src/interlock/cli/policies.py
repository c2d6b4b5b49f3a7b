"""`policy schema`: what an editor needs to know of the policy language."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON schema of policy/v1, for editors that complete and check YAML.

    Save it beside a policy and start the policy with `# yaml-language-server: $schema=policy.schema.json`.
    """
    from interlock.policy.schema import schema as of_policies

    typer.echo(json.dumps(of_policies(), indent=2))
