"""Both fronts, as a user types them: bad input is one clear line and exit 2, and nothing is made.

What is asked of a VM is refused to an ordinary user before anything else, so those tests are root's.
"""

import os
import shlex
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE, CompletedProcess, run

import pytest

from inferno.cli.main import main
from inferno.state.database import State
from tests.conftest import CHECKOUT

BIN = Path(sys.executable).parent


def type_in(tmp_path: Path, *words: str, program: str = "infernoctl") -> CompletedProcess[str]:
    """Type a command: doit in the checkout, infernoctl anywhere."""
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}
    return run(
        [BIN / program, *words],
        env=env,
        cwd=CHECKOUT if program == "doit" else tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def refused(done: CompletedProcess[str], *says: str) -> None:
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, done.stderr
    for text in says:
        assert text in done.stderr


BAD_NAMES = ["kiln", "..", "a/b", "Web1", "a" * 64, "", "vm_combined", "_web", "web1\n", "-x"]


@pytest.mark.parametrize("name", [n for n in BAD_NAMES if n not in ("", "-x")])
@pytest.mark.parametrize("verb", ["create", "start", "stop", "destroy", "status"])
def test_bad_names_are_refused(tmp_path: Path, verb: str, name: str) -> None:
    refused(type_in(tmp_path, verb, name), "VM name")
    assert not list((tmp_path / "root").glob("vms/*")) if (tmp_path / "root").exists() else True


@pytest.mark.parametrize("name", ["", "-x"])
def test_names_that_look_like_something_else_are_refused(tmp_path: Path, name: str) -> None:
    refused(type_in(tmp_path, "create", name, "--image", "oci:/nowhere"))
    refused(type_in(tmp_path, "create", "--image", "oci:/nowhere", "--", name), "needs the name")


@pytest.mark.root
@pytest.mark.parametrize("name", ["kiln", "..", "a/b", "-x", "Web1", "a" * 64])
def test_bad_names_are_refused_by_doit(tmp_path: Path, name: str) -> None:
    refused(type_in(tmp_path, f"create:{name}", "--image", "oci:/nowhere", program="doit"), "VM name")


def test_a_misspelt_verb_gets_a_guess(tmp_path: Path) -> None:
    refused(type_in(tmp_path, "crate", "web1"), "did you mean create?")
    refused(type_in(tmp_path, "crate:web1", program="doit"), "did you mean create:web1?")


@pytest.mark.root
def test_a_misspelt_option_gets_a_guess(tmp_path: Path) -> None:
    refused(type_in(tmp_path, "create", "web1", "--imgae", "x"), "did you mean --image?")
    refused(type_in(tmp_path, "create:web1", "--imgae", "x", program="doit"), "did you mean --image?")
    refused(type_in(tmp_path, "list", "--jsno"), "did you mean --json?")


@pytest.mark.root
def test_a_new_vm_needs_an_image(tmp_path: Path) -> None:
    refused(type_in(tmp_path, "create", "web1"), "needs an image")


@pytest.mark.root
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--vcpus", "0"], "vcpus"),
        (["--vcpus", "33"], "vcpus"),
        (["--vcpus", "two"], "not a number"),
        (["--memory", "0"], "memory"),
        (["--memory", "99999999"], "memory"),
        (["--env", "=value"], "NAME=value"),
        (["--workdir", "relative"], "absolute"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, options: list[str], says: str) -> None:
    refused(type_in(tmp_path, "create", "web1", "--image", "oci:/nowhere", *options), says)


@pytest.mark.root
def test_an_unknown_vm_gets_a_hint(tmp_path: Path) -> None:
    for verb in ("start", "stop", "destroy", "status", "why", "restart"):
        words = [verb, "web9", "--yes"] if verb == "destroy" else [verb, "web9"]
        refused(type_in(tmp_path, *words), "there is no VM 'web9'")


def test_doit_without_a_task_does_nothing(tmp_path: Path) -> None:
    for words in ([], ["clean"], ["forget"], ["info"]):
        refused(type_in(tmp_path, *words, program="doit"), "name a task")


@pytest.mark.root
def test_a_task_named_twice_is_refused(tmp_path: Path) -> None:
    words = ["create:web1", "--image", "oci:a", "create:web1", "--image", "oci:b"]
    refused(type_in(tmp_path, *words, program="doit"), "asked for twice")


@pytest.mark.root
def test_doit_eats_no_variable(tmp_path: Path) -> None:
    words = ["create:web1", "--image", "oci:a", "--env", "A=1"]
    refused(type_in(tmp_path, *words, program="doit"), "--env=A=1")


def test_doit_list_explains_every_verb(tmp_path: Path) -> None:
    done = type_in(tmp_path, "list", program="doit")
    assert done.returncode == 0
    for verb in ("artifacts", "create", "image", "jail", "kernel", "launch", "restart", "vmm"):
        assert any(line.startswith(verb) and len(line.split()) > 2 for line in done.stdout.splitlines()), verb


def test_help_names_every_verb_and_option(tmp_path: Path) -> None:
    done = type_in(tmp_path, "--help")
    assert done.returncode == 0
    for verb in ("create", "start", "stop", "destroy", "list", "status", "logs", "why"):
        assert verb in done.stdout
    done = type_in(tmp_path, "create", "--help")
    for option in ("--image", "--vcpus", "--memory", "--entrypoint", "--env", "--workdir", "--user"):
        assert option in done.stdout


def test_list_of_nothing(tmp_path: Path) -> None:
    assert type_in(tmp_path, "list", "--json").stdout == "[]\n"


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    line = f"{BIN}/doit list | true; {BIN}/infernoctl --help | true"
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root")}
    done = run(["bash", "-c", line], env=env, check=False, cwd=CHECKOUT, stderr=PIPE, text=True, timeout=60)
    assert "Traceback" not in done.stderr


def test_a_database_of_a_newer_inferno_is_refused(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "root").mkdir()
    with sqlite3.connect(tmp_path / "root/inferno.db") as db:
        db.execute("pragma user_version = 99")
    done = type_in(tmp_path, "list")
    refused(done, "newer Inferno")


@pytest.mark.parametrize("line", ["infernoctl version", "infernoctl task list", "doit list"])
def test_standard_output_may_be_closed_or_full_or_broken(tmp_path: Path, line: str) -> None:
    def typed(rest: str) -> CompletedProcess[str]:
        env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root")}
        command = f"set -o pipefail; {shlex.quote(str(BIN))}/{line} {rest}"
        return run(["bash", "-c", command], env=env, check=False, cwd=CHECKOUT, stderr=PIPE, text=True, timeout=60)

    closed, full, broken, mute = typed(">&-"), typed("> /dev/full"), typed("| true"), typed("> /dev/null 2>&- <&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    assert (full.returncode, full.stderr) == (1, "error: the output cannot be written: No space left on device\n")
    assert broken.returncode in (0, 141)  # it may all have been in the pipe before anybody closed it
    assert broken.stderr == ""
    assert mute.returncode == 0


@pytest.mark.root
def test_doit_refuses_what_would_select_nothing_or_everything(tmp_path: Path) -> None:
    refused(type_in(tmp_path, "create", program="doit"), "doit create:NAME")
    refused(type_in(tmp_path, "clean", "rootfs", program="doit"), "doit rootfs:IMAGE")
    refused(type_in(tmp_path, "stop:web*", program="doit"), "no such VM")


def test_doit_sends_those_who_only_look_to_infernoctl(tmp_path: Path) -> None:
    refused(type_in(tmp_path, "status:web1", program="doit"), "hint: infernoctl status web1")
    refused(type_in(tmp_path, "list:", program="doit"), "hint: infernoctl list")


def test_options_of_doit_itself_are_refused_in_one_line(tmp_path: Path) -> None:
    done = type_in(tmp_path, "list", "--bogus", program="doit")
    refused(done, "list: option --bogus not recognized", "doit help list")
    assert "CmdOption" not in done.stderr


def test_both_fronts_give_the_same_help(tmp_path: Path) -> None:
    ours = type_in(tmp_path, "create", "--help").stdout
    assert "--image" in ours
    for words in (["help", "create"], ["help", "create:web1"]):
        assert type_in(tmp_path, *words, program="doit").stdout == ours


def as_somebody_else(*words: str) -> tuple[int, str]:
    """The exit status and standard error of infernoctl for a user who need not reach this python: in a fork."""
    main(list(words))  # loads, as root, what the other could not
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.dup2(writer, 2)
            os.setresuid(65534, 65534, 65534)
            status = main(list(words))
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader) as stream:
        said = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@pytest.mark.root
def test_another_users_vms_need_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is below what only root may enter
        root = Path(folder, "root")
        monkeypatch.setenv("INFERNO_ROOT", str(root))
        root.mkdir(mode=0o755)
        os.chmod(folder, 0o755)
        status, said = as_somebody_else("exec", "web1", "true")
        assert (status, said) == (2, "error: this needs root\nhint: run it with sudo\n")
        status, said = as_somebody_else("list")
        assert (status, said.count("\n")) == (0, 1), said
        assert "sudo infernoctl list" in said
        State(root / "inferno.db").close()
        status, said = as_somebody_else("list")
        assert status == 2, said
        assert "inferno.db: permission denied\nhint: run it with sudo\n" in said


@pytest.mark.root
@pytest.mark.parametrize("root", ["/dev/null/x", "/proc/inferno"])
def test_a_root_that_cannot_be_is_one_line(tmp_path: Path, root: str) -> None:
    env = {**os.environ, "INFERNO_ROOT": root}
    words = [BIN / "infernoctl", "create", "web1", "--image", "oci:x"]
    done = run(words, env=env, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    refused(done, "cannot be made", "INFERNO_ROOT")


@pytest.mark.root
def test_an_engine_that_does_not_answer_is_said_in_its_own_word(tmp_path: Path) -> None:
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root"), "DOCKER_HOST": "tcp://127.0.0.1:1"}
    words = [BIN / "infernoctl", "task", "image", "docker-daemon:x"]
    done = run(words, env=env, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    refused(done, "the Docker Engine cannot be used: connection refused")
