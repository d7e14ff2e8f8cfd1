"""What crosses from the host to kiln, init and Firecracker: models, and the initrd's archive."""
