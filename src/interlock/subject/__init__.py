"""Which model: the manifest digest that names a subject, its lineage and compute, and how it is offered."""
