"""Insula."""
