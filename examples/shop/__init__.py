"""A shop of seven modules: the reference system of Insula."""
