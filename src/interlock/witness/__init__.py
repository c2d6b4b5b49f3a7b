"""A witness (c2sp.org/tlog-witness): cosigns a checkpoint of a log only if it continues the last that it cosigned."""
