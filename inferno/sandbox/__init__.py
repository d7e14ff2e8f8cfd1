"""What a VM runs in: its jail, its cgroup, the jailer's launch, and what that leaves behind."""
