"""Looking after what runs."""
