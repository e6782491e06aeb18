"""`python -m insula.cli`."""

from insula.cli.main import main

main()
