"""What Python, kiln and init all have to know, each in its own source: numbers, names, exit codes.

Those that a Rust program holds too are in tests/contract/shared.json, under the same names in small letters; the tests
of each language hold its own constants to that file. Importing this module imports nothing.
"""

from __future__ import annotations

# Of which shape kiln.json, run.json and start.json are. What was written before there were numbers is of format 1.
# inferno/wire/start.py has which start.json goes with which kiln.json.
KILN_FORMAT, RUN_FORMAT, START_FORMAT = 3, 2, 2

# vsock ports of the guest's lines, of its exit report (both kiln's), and of init's API.
STDOUT_PORT, EXIT_REPORT_PORT, API_PORT = 10000, 10001, 10002

# In the jail, below its `/`. Those that kiln reads of kiln.json are not in its source.
KILN_CONFIG, START_CONFIG = "kiln.json", "start.json"
MAX_START_BYTES = 64 * 1024
# Where the starter hands over what no file may hold, and the longest message of it.
SECRETS_SOCKET, MAX_SECRETS_BYTES = "secrets.sock", 1024 * 1024
VSOCK_SOCKET, NOTIFY_SOCKET, LOG_SOCKET = "control.sock", "notify.sock", "vm_logs.sock"
EXIT_STATUS = "exit_status.json"
# What kiln adds to a file's name until all of it is written.
UNFINISHED_SUFFIX = ".tmp"

# In the initrd, below its `/`.
RUN_CONFIG = "inferno/run.json"

# The longest line of a log as kiln sends it to the collector, with its newline; and how much of them it sends before
# the collector has acknowledged something.
MAX_LOG_LINE_BYTES = 128 * 1024
MAX_UNACKNOWLEDGED_BYTES = 64 * 1024
LOG_LEVELS = ("debug", "info", "warn", "error")
# The image's process, PID 1 of the guest, its console; kiln and what it supervises.
LOG_SOURCES = ("stdout", "stderr", "init", "kernel", "kiln", "firecracker")

# The longest exit_status.json.
MAX_EXIT_STATUS_BYTES = 16 * 1024
# Linux's highest signal: SIGRTMAX, signal(7).
MAX_SIGNAL = 64
# As `docker run` ends: there was no process; its program cannot be executed; there is no such program.
CODE_NO_PROCESS, CODE_NOT_EXECUTABLE, CODE_NOT_FOUND = 125, 126, 127

# The guest API: the protocol of a stream, the longest payload of a frame, the longest body of a request, and the
# statuses of "the process does not run" and "what was asked for cannot be started".
STREAM_PROTOCOL = "inferno-stream/1"
MAX_FRAME_PAYLOAD_BYTES = 64 * 1024
MAX_REQUEST_BYTES = 256 * 1024
HTTP_NOT_RUNNING, HTTP_NOT_STARTED = 409, 422
