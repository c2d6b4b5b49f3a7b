"""What `interlock policy check` looks at."""
