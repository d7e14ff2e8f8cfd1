"""A network beyond the rig, for what a guest may reach: a namespace at the other end of a veth, with a web server in it
that logs who asks. It answers at a link-local address too, where clouds have their metadata, and another server is on
the host: no guest may reach these two."""

from __future__ import annotations

from tests.rig.typed import Host

ADDRESS, HOSTS_ADDRESS, LINK_LOCAL = "198.51.100.2", "198.51.100.1", "169.254.169.254"
PORT, HOSTS_PORT = 8080, 8081
LOG = "/srv/outside.log"
_SET_UP = f"""
set -e
ip netns add outside
ip link add veth0 type veth peer name eth0 netns outside
ip addr add {HOSTS_ADDRESS}/24 dev veth0
ip link set veth0 up
ip -n outside addr add {ADDRESS}/24 dev eth0
ip -n outside link set eth0 up
ip -n outside link set lo up
ip -n outside addr add {LINK_LOCAL}/32 dev lo
ip route add {LINK_LOCAL} via {ADDRESS}
ip -n outside route add default via {HOSTS_ADDRESS}
mkdir -p /srv/www && echo outside > /srv/www/index.html
exec < /dev/null > /dev/null 2> {LOG}
setsid ip netns exec outside busybox httpd -f -vv -p {PORT} -h /srv/www &
setsid busybox httpd -f -p {HOSTS_PORT} -h /srv/www &
"""
# Not by asking it: who asks stands in its log.
_UP = f"""
until ip netns exec outside ss -Hltn sport = :{PORT} | grep -q . && ss -Hltn sport = :{HOSTS_PORT} | grep -q .; do
    sleep 0.1
done
"""


def set_up(host: Host) -> None:
    """Make it; both servers listen then, and the host has a way to both addresses."""
    host.sh(_SET_UP)
    host.sh(f"{_UP}ping -c 1 -W 5 {ADDRESS} && ping -c 1 -W 5 {LINK_LOCAL}", timeout=30)
