"""The peers' side of a case, where it needs a module of its own."""
