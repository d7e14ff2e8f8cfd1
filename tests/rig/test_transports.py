"""Images from where people have them: a real Docker Engine, a real registry on loopback, archives."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.rig import outside
from tests.rig.typed import Host

REGISTRY = "127.0.0.1:5000"
CONFIG = f"""
version: 0.1
storage: {{filesystem: {{rootdirectory: /srv/registry}}, delete: {{enabled: true}}}}
http: {{addr: "{REGISTRY}"}}
"""
# Socket units hand over what listens before the daemon is up; `docker version` returns once it answers.
SERVICES = f"""
set -e
cat > /srv/registry.yml
echo nameserver 127.0.0.1 > /etc/resolv.conf # nobody there: names are unknown at once, not after ten seconds
setsid docker-registry serve /srv/registry.yml < /dev/null > /srv/registry.log 2>&1 &
systemctl start docker
docker version > /dev/null
skopeo copy --quiet oci:/extra/busybox docker-daemon:local/box:v1
skopeo copy --quiet oci:/extra/busybox docker-archive:/srv/box.docker.tar:local/box:v1
skopeo copy --quiet oci:/extra/busybox oci-archive:/srv/box.oci.tar
curl --silent --retry 50 --retry-connrefused --retry-delay 0 http://{REGISTRY}/v2/ > /dev/null
skopeo copy --quiet --dest-tls-verify=false oci:/extra/busybox docker://{REGISTRY}/box:v1
"""
# The pipeline to copy, as the docs have it, beside a Dockerfile with all that the legacy builder runs by itself.
PIPELINE = """
mkdir -p /srv/app && cd /srv/app
cp /inferno/docs/pipeline/dodo.py .
echo one > page.html
cat > Dockerfile <<- END
	FROM local/box:v1
	COPY page.html /www/index.html
	RUN echo built by $(id -un) >> /www/index.html && chmod 640 /www/index.html && chown web /www/index.html
	USER web
	CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
END
"""


@pytest.fixture(scope="module", autouse=True)
def services(host: Host) -> None:
    host.sh("rm -r /var/lib/inferno/images")  # bases are made here of what comes
    host.rig.run(["sh", "-c", SERVICES], input=CONFIG, timeout=240)


# What has the same bytes is known by the same digest; the Engine and its archives have bytes of their own.
SAME = {
    "engine": ["local/box:v1", "docker-daemon:local/box:v1"],
    "archive of the engine's": ["docker-archive:/srv/box.docker.tar"],
    "registry, layout, archive": [
        f"docker://{REGISTRY}/box:v1",
        "oci-archive:/srv/box.oci.tar",
        "oci:/extra/busybox",
        "oci:/extra/busybox:latest",
    ],
}


@pytest.mark.parametrize("refs", SAME.values(), ids=SAME)
def test_an_image_boots_from_wherever_it_is_and_is_known_by_its_digest(host: Host, refs: list[str]) -> None:
    bases = set()
    for ref in refs:
        host.create("box", "echo booted; exit 5", image=ref)
        assert host.status("box")["image"] == ref
        bases.add(host.sh("stat -L -c %i /var/lib/inferno/vms/box/current/rootfs.img").stdout)
    assert len(bases) == 1
    assert host.type("start box", status=5).stdout == "booted\n"


def test_a_tag_that_moved_is_followed_when_asked(host: Host) -> None:
    ref = f"docker://{REGISTRY}/box:moves"
    push = "skopeo copy --quiet --dest-tls-verify=false"
    host.sh(f"{push} oci:/extra/busybox {ref}")
    made = host.create("moved", image=ref)
    host.sh(f"{push} docker-daemon:local/box:v1 {ref}")  # its bytes are others
    assert host.create("moved", image=ref)["version"] == made["version"]
    assert host.create("moved", image=ref, options="--pull always")["version"] != made["version"]


@pytest.mark.parametrize(
    "ref",
    [
        f"docker://{REGISTRY}/nothing:v1",
        "docker://127.0.0.1:1/box:v1",
        "docker-daemon:local/nothing:v1",
        "oci:/extra/nothing",
        "oci-archive:/etc/passwd",
        "nothing-local/box:v9",
    ],
)
def test_an_image_that_is_not_there_is_one_line(host: Host, ref: str) -> None:
    done = host.sh(f"infernoctl create nobody --image {ref}", status=2)
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "nobody" not in host.states()


@pytest.mark.full  # outside of the rig tests/unit/tasks/test_pipeline.py runs it, but for its docker build
def test_the_pipeline_of_the_docs_makes_only_what_follows(host: Host) -> None:
    """docker build, create, boot test, artifact: all of it, nothing of it, and what a changed source asks for."""
    host.sh(PIPELINE)
    steps = ["build", "create:app", "test", "artifact"]
    done = host.sh("cd /srv/app && exec doit", timeout=240)
    assert [task for task in _made(done.stderr) if task in steps] == steps
    first = json.loads(host.sh("cat /srv/app/app.version.json").stdout)
    status = host.status("app")
    assert (status["state"], status["current_version"]) == ("stopped", first["ulid"])
    again = host.sh("cd /srv/app && exec doit")
    assert _made(again.stderr) == []
    assert {"-- build", "-- create:app", "-- test", "-- artifact"} <= set(again.stderr.splitlines())

    changed = host.sh("cd /srv/app && echo two > page.html && exec doit", timeout=240)
    ref = "docker-daemon:app:dev"
    made = [task for task in _made(changed.stderr) if not task.startswith(("network", "disk", "jail", "launch"))]
    of_vm = [f"image:{ref}", f"rootfs:{ref}", "initrd:app", "create:app"]
    assert made == ["build", *of_vm, "test", "stop:app", "artifact"]
    second = json.loads(host.sh("cat /srv/app/app.version.json").stdout)
    differs = [name for name, digest in second["inputs"].items() if first["inputs"].get(name) != digest]
    assert "image" in differs
    assert not {"kiln", "kernel", "vmm"} & set(differs)
    assert _made(host.sh(f"exec doit create:app --image {ref}").stderr) == []


def _made(said: str) -> list[str]:
    """The tasks that really ran, in order."""
    return [line.removeprefix(".  ") for line in said.splitlines() if line.startswith(".  ")]


def test_a_vm_runs_beside_docker(host: Host) -> None:
    """Docker drops what is forwarded; its own containers and our guests both have a network all the same."""
    outside.set_up(host)
    assert "policy drop" in host.sh("nft list chain ip filter FORWARD").stdout
    asks = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 10 {outside.ADDRESS} {outside.PORT} | tail -n 1"
    host.create("beside", "echo up; sleep 1000 & wait", image="local/box:v1")
    host.type("start beside --detach")
    host.sh(f"ping -c 1 -W 5 {host.status('beside')['ip']}")
    asked = (
        f"infernoctl exec beside -- sh -c {shlex.quote(asks)}; docker run --rm local/box:v1 sh -c {shlex.quote(asks)}"
    )
    assert host.sh(asked).stdout == "outside\noutside\n"
    host.type("destroy beside --force")
