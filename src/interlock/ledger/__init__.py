"""Nothing is lost: the append-only log, its hashes, its signed checkpoints."""
