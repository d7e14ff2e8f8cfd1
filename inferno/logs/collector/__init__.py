"""The log collector: the process that writes what VMs say, and how it is reached."""
