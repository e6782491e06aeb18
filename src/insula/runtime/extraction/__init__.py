"""Moves a module's database to another engine or place while the system runs."""
