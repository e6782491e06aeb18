"""The functions of CEL: those of the specification, and of its extensions for strings, mathematics and more."""
