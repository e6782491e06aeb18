"""The `insula` command."""
