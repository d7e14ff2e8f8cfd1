"""The life of a VM: start, stop, destroy, how its runs end, and what is taken away after them."""
