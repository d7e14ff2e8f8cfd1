"""A VM's network on the host: its TAP (`tap`), the rules around it (`nft`), the kernel's wire (`netlink`)."""
