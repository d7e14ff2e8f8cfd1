"""The disks of a VM."""
