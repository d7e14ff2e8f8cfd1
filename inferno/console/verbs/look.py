"""The verbs that look at VMs, and change nothing."""

from __future__ import annotations

from inferno.console.options import Option
from inferno.console.verbs.verb import JSON, LOOK, Verb

_JSON_ARRAY = JSON._replace(help="one JSON array, with all numbers, for programs")

_READ_LOGS = (
    Option("lines", "the last N lines, or all (tail: 20, or all with --since)", metavar="N|all", short="n"),
    Option("tail", "the same as --lines, as in Docker", metavar="N|all"),
    Option("follow", "print new lines as they arrive, until Ctrl-C or --until", bool, short="f"),
    Option("vm", "the same as NAME; for a VM that is named like one of these verbs", metavar="NAME"),
    Option(
        "source",
        "any of stdout, stderr, init, kernel, kiln, firecracker, collector, with commas; or all",
        metavar="LIST",
    ),
    Option("level", "lines of this level and above", choices=("debug", "info", "warn", "error")),
    Option(
        "since",
        "lines from this time on: 1h30m or 500ms ago, seconds since 1970, or 2026-11-24T14:17:02Z",
        metavar="TIME",
    ),
    Option("until", "lines before this time, in the same form", metavar="TIME"),
    Option("grep", "lines whose message matches this regular expression", metavar="RE"),
    Option("timestamps", "the time of each line to the microsecond; with --raw, before each line", bool, short="t"),
    Option(
        "raw",
        "what the process wrote, byte for byte, each stream on its own; nothing is escaped for a terminal",
        bool,
    ),
    JSON._replace(help="one JSON object per line, for programs"),
)
_PING = (
    Option("count", "how many times (1)", metavar="N", short="c", default="1"),
    Option("timeout", "how long each answer may take (2)", metavar="SECONDS", default="2"),
    JSON,
)
_LOGS = Verb(
    "logs",
    LOOK,
    "the logs of VMs; -f follows them",
    "[NAME]",
    more="""\
Prints the last lines that the processes of one VM, or of all, wrote, and Inferno's messages about missing
lines. tail and show also print the lines of init, the guest's kernel, kiln and Firecracker. So does logs
with --level.""",
    default="tail",
    actions=(
        Verb(
            "tail",
            LOOK,
            "the last lines, of every source",
            "[NAME]",
            _READ_LOGS,
            "logs.tail",
            examples="infernoctl logs web1 -f",
        ),
        Verb(
            "show",
            LOOK,
            "all lines, of every source",
            "[NAME]",
            _READ_LOGS,
            "logs.show",
            examples="infernoctl logs show --since 10m --level warn",
        ),
        Verb(
            "status",
            LOOK,
            "the state of the log collector, and how much is kept",
            "",
            (JSON,),
            "logs.status",
            examples="infernoctl logs status",
        ),
        Verb(
            "restart",
            LOOK,
            "restart the log collector, after an update of Inferno; no line is lost",
            run="logs.restart",
            examples="infernoctl logs restart",
        ),
        Verb(
            "clear",
            LOOK,
            "delete the combined log of all VMs, or with a name the log of that VM",
            "[NAME]",
            (
                Option("vm", "the same as NAME", metavar="NAME"),
                Option("all", "delete the combined log and those of all VMs", bool),
            ),
            "logs.clear",
            more="Without a name, the VMs keep their own logs, which hold the same lines.",
            examples="infernoctl logs clear web1",
        ),
    ),
    examples="""\
infernoctl logs web1 -f
infernoctl logs show --since 10m --level warn""",
)

VERBS = (
    Verb(
        "list",
        LOOK,
        "all VMs, and whether they run",
        "",
        (
            JSON._replace(help="one JSON array, for programs; status shows more of one VM"),
            Option("format", "how to print it", choices=("table", "json"), default="table"),
            Option(
                "state",
                "only VMs in this state: created (never started), running or stopped",
                metavar="STATE",
                choices=("created", "running", "stopped"),
            ),
        ),
        "list_status.list_vms",
        aliases=("ls",),
        more="The kernel says whether a VM runs, not the database.",
        examples="infernoctl list --json | jq -r '.[] | select(.state == \"running\") | .name'",
        instead="status",
    ),
    Verb(
        "status",
        LOOK,
        "one VM in full: its address, its limits, and how its last run ended",
        "NAME",
        (
            JSON._replace(help="one JSON object, for programs; the keys are always the same"),
            Option("format", "how to print it", choices=("human", "json"), default="human"),
        ),
        "list_status.status",
        examples="infernoctl status web1 --json | jq -r .ip",
    ),
    _LOGS,
    Verb(
        "debug",
        LOOK,
        "collect what is known of a VM and its last run in one file, to pass on",
        "NAME",
        (
            Option(
                "output",
                "a tar archive, an existing folder or a name that ends with /, or - (NAME-debug.tar)",
                metavar="FILE",
                short="o",
            ),
        ),
        "debug.debug",
        more="It holds no values of variables, no keys or commands, and nothing that the process printed.",
        examples="infernoctl debug web1 -o web1.tar",
    ),
    Verb(
        "runs",
        LOOK,
        "when a VM ran, and how each run ended",
        "NAME",
        (JSON._replace(help="one JSON array, for programs; the keys are always the same"),),
        "runs.list_runs",
        more="The newest first, at most a hundred. destroy deletes them with the VM.",
        examples="infernoctl runs web1 --json | jq '.[0].exit_code'",
    ),
    Verb(
        "stats",
        LOOK,
        "the resources that running VMs use",
        "[NAME...]",
        (_JSON_ARRAY,),
        "stats.stats",
        more="The last column is what the guest itself reports.",
        examples="infernoctl stats web1 web2",
    ),
    Verb(
        "top",
        LOOK,
        "the resources that one VM uses, and its processes",
        "NAME",
        (JSON._replace(help="one JSON object, with all numbers, for programs"),),
        "stats.top",
        more="The image's own ps lists the processes.",
        examples="infernoctl top web1",
    ),
    Verb(
        "ping",
        LOOK,
        "whether a guest answers over vsock, and how fast",
        "NAME",
        _PING,
        "ping.ping",
        aliases=("vsock-ping",),
        more="The guest's init answers.",
        examples="infernoctl ping web1 -c 100",
    ),
    Verb(
        "vsock",
        LOOK,
        "the vsock connection to a guest: whether it answers",
        actions=(
            Verb(
                "ping",
                LOOK,
                "the same as ping alone",
                "NAME",
                _PING,
                "ping.ping",
                more="The guest's init answers.",
                examples="infernoctl vsock ping web1",
            ),
        ),
        examples="infernoctl vsock ping web1",
    ),
    Verb(
        "wait",
        LOOK,
        "wait until a VM ends, and exit with its process's status",
        "NAME",
        run="wait_attach.wait",
        more="The exit status is that of its process, 128+N for signal N.",
        examples="infernoctl start job1 --detach; infernoctl wait job1 && echo done",
    ),
    Verb(
        "why",
        LOOK,
        "why the current version of a VM was built, and what is out of date",
        "NAME",
        (JSON,),
        "why.why",
        examples="infernoctl why web1    (for one step: doit info create:web1)",
    ),
)
