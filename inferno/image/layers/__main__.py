"""The worker's process: see `worker`. It is started by `inferno.image.base`, with every file that it needs open."""

import sys

from inferno.image.layers.worker import main

if __name__ == "__main__":
    sys.exit(main())
