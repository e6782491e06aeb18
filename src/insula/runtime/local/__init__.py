"""Real servers out of wheels, so that many services run on one machine without anything installed by hand."""
