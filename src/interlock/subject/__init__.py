"""Which model: the manifest digest that names a subject, and its lineage."""
