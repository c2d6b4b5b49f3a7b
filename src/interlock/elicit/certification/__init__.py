"""How well an elicitor works, seen on model organisms: first every bound, blind; then the truths."""
