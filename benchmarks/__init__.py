"""What Insula costs, beside its peers and beside the least the work can cost on this machine."""
