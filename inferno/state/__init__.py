"""What is remembered, and where it lies: the database of VMs, paths, names, slots."""
