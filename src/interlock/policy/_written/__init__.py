"""The written form of a policy: YAML with positions, forms, and the frozen values that they become."""
