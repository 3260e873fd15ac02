"""One machine -> many, by Ray: who does the trainings of a study, and where."""
