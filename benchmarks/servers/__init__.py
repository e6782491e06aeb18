"""The servers that `benchmarks.http` and `benchmarks.start` run: the floor, the peers and ours."""
