"""What must hold between the parts of a policy, written or compiled."""
