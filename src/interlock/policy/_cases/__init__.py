"""Policy tests: cases read, turned into facts, decided and compared."""
