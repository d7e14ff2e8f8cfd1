"""The host library of Inferno: OCI images to Firecracker microVMs. It prints nothing, never exits, knows no doit."""

__version__ = "0.1.0"
