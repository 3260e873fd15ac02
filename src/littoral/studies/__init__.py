"""Many trainings -> one result."""
