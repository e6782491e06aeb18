"""Many runs: seeds and single faults over all cores, shrinking, mutations."""
