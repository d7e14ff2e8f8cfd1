"""What both fronts share to talk to people: options, help, tables, progress, errors."""
