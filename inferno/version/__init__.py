"""Versions: immutable builds of a VM under vms/kiln/<ULID>; made, explained, looked up, removed."""
