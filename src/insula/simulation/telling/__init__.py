"""One run, told as text and as a page."""
