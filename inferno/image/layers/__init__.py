"""From an image's layers to one normalised tar stream: everything that reads an image's bytes, apart from root.

`worker` is a program of its own: it gives up root, the network and most resources (`confine`), then decompresses the
layers (`decompress`), reads their headers (`tar`), settles them (`tree`) and writes what is left (`emit`) into mkfs.
"""
