"""The yardsticks of `interlock policy score`, and what they ask of a policy."""
