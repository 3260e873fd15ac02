"""Model and images -> trained model."""
