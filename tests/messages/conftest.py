from hypothesis import HealthCheck, settings

# On a busy machine an example may take any time; that says nothing about the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
