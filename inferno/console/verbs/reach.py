"""The verbs that reach into a VM that runs."""

from __future__ import annotations

from inferno.console.options import Option
from inferno.console.verbs.verb import REACH, Verb

_WHO_AND_WHERE = (
    Option("user", "the user it runs as (that of the image's process)", metavar="USER[:GROUP]", short="u"),
    Option("workdir", "the directory it starts in", metavar="DIR", short="w"),
    Option(
        "env",
        "adds to the environment of the image's process; may be repeated",
        list,
        "NAME[=VALUE]",
        short="e",
    ),
    Option("env_file", "adds the variables of a file; --env overrides them; may be repeated", list, "FILE"),
)

_KEYS = Option(
    "detach_keys",
    "the keys that leave the terminal: characters, ctrl-X or DEL, with commas (ctrl-p,ctrl-q)",
    metavar="KEYS",
)

VERBS = (
    Verb(
        "exec",
        REACH,
        "run a command in a VM",
        "NAME CMD...",
        (
            Option("interactive", "pass standard input to the command", bool, short="i"),
            Option("tty", "give the command a terminal", bool, short="t"),
            Option("detach", "return as soon as the command runs; its output is discarded", bool, short="d"),
            _KEYS._replace(
                help="keys that leave the terminal while the command goes on, as for attach (ctrl-p,ctrl-q)"
            ),
            *_WHO_AND_WHERE,
        ),
        "exec_shell.exec_",
        more="exec passes standard streams, signals and the exit status through.",
        examples="""\
infernoctl exec web1 -- nginx -t
infernoctl exec -it web1 sh
tar -c site | infernoctl exec -i web1 -- tar -x -C /srv""",
        forms=("[options] NAME [options] [--] CMD...",),
        words=1,
    ),
    Verb(
        "shell",
        REACH,
        "open the best shell that the VM has: bash, zsh, ash or sh",
        "NAME",
        _WHO_AND_WHERE,
        "exec_shell.shell",
        examples="infernoctl shell web1 -u 0",
    ),
    Verb(
        "cp",
        REACH,
        "copy files between a VM (NAME:PATH) and this host",
        "FROM TO",
        (
            Option("archive", "keep owners", bool, short="a"),
            Option("follow_link", "follow a symbolic link given as the source", bool, short="L"),
            Option(
                "set_ids",
                "keep set-uid and set-gid bits: only from a guest that you trust",
                bool,
            ),
            Option(
                "no_limits",
                "copy more than 64 GiB or 2,000,000 files from a guest, and wait for it longer than 60 s",
                bool,
            ),
        ),
        "cp.cp",
        more="The rules for names are those of docker cp; `-` is a tar archive on a standard stream.",
        examples="""\
infernoctl cp web1:/etc/nginx ./nginx
infernoctl cp ./site/. web1:/srv
infernoctl cp web1:/var/log - | tar -t""",
        forms=("[options] NAME:PATH PATH|-", "[options] PATH|- NAME:PATH"),
    ),
    Verb(
        "kill",
        REACH,
        "send a signal to a VM's process",
        "NAME...",
        (Option("signal", "the signal (KILL)", metavar="NAME|N", short="s", default="KILL"),),
        "kill.kill",
        more="The VM goes on unless its process ends. To kill a VM that does not answer: stop NAME --kill.",
        examples="infernoctl kill -s HUP web1",
    ),
    Verb(
        "attach",
        REACH,
        "the output of a VM's process from now on, or with -i its terminal",
        "NAME",
        (
            Option(
                "interactive",
                "connect this terminal to the process (needs create --tty), until Ctrl-P Ctrl-Q;"
                " or standard input (needs create -i)",
                bool,
                short="i",
            ),
            _KEYS,
        ),
        "wait_attach.attach",
        more="attach ends with the VM; Ctrl-C ends it earlier, and leaves the VM running.",
        examples="infernoctl attach -i box",
    ),
    Verb(
        "ssh-config",
        REACH,
        "entries for ~/.ssh/config, for images with an sshd",
        "[NAME...]",
        (Option("user", "the user to log in as (that of the image's process, or root)", metavar="USER"),),
        "ssh_config.ssh_config",
        more="For all VMs, or for those named. The connection goes over vsock and needs no network.",
        examples="infernoctl ssh-config web1 >> ~/.ssh/config; ssh web1",
    ),
)
