"""Reads again and again, on a thread of its own, what waits for something outside."""
