"""Where scratch disks are kept: files, or snapshots in an LVM thin pool."""
