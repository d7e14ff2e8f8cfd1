"""What knows nothing of VMs: errors, processes, files and locks, text, progress."""
