"""The rig: a disposable Debian host with KVM inside QEMU, on which everything privileged is tested."""
