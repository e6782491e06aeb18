"""What keeps a run repeatable: an audit of calls, a comparison of interpreters, a look for state that stays."""
