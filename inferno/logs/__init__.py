"""What VMs said: the files that the collector writes, read from the end, in full, or as they grow."""
