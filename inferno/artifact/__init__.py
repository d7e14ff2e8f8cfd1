"""What the project builds or fetches once, whatever the VM: kiln, init, firecracker, jailer, vmlinux."""
