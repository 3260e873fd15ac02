"""Results -> what a person reads or looks at. Nothing is computed here that was not in the result."""
