"""From other people's logs to evidence: what a log says, checked against itself, and never more than it says."""
