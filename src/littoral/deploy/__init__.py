"""A model file -> files that run without torch, proven to agree with it; and what runs them."""
