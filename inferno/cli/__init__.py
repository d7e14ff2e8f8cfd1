"""`infernoctl`: one module per group of verbs."""
