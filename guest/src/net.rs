//! The guest's network: loopback, addresses, default route.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{Read, Write};

use crate::failure::{Doing, Failure};
use crate::netlink;
use crate::run::Ip;
use crate::sys;

/// Sets all interfaces up. Needs /sys, and /proc for the settings.
pub fn set_up(ips: &[Ip]) -> Result<(), Failure> {
    let mut socket = sys::netlink_socket().doing("open netlink")?;
    ask(&mut socket, &netlink::link_up(index("lo")?)).doing("set lo up")?;
    for ip in ips {
        let name = &ip.interface;
        let index = index(name)?;
        ask(&mut socket, &netlink::link_up(index)).doing(format_args!("set {name} up"))?;
        ask(&mut socket, &netlink::add_address(index, ip.address, ip.prefix_len))
            .doing(format_args!("add {}/{} to {name}", ip.address, ip.prefix_len))?;
        if !ip.gateway.is_unspecified() {
            ask(&mut socket, &netlink::add_default_route(index, ip.gateway))
                .doing(format_args!("add the default route by {}", ip.gateway))?;
        }
    }
    Ok(())
}

/// What Docker sets in each container since 20.10, and images rely on: users may bind port 80 and ping.
pub fn relax() -> Result<(), Failure> {
    for (name, value) in [("ip_unprivileged_port_start", "0"), ("ping_group_range", "0 2147483647")] {
        fs::write(format!("/proc/sys/net/ipv4/{name}"), value).doing(format_args!("set net.ipv4.{name}"))?;
    }
    Ok(())
}

fn index(name: &str) -> Result<u32, Failure> {
    let path = format!("/sys/class/net/{name}/ifindex");
    let text = fs::read_to_string(&path).doing(format_args!("find interface {name}"))?;
    text.trim().parse().map_err(|_| Failure::new(format!("{path} holds no number")))
}

fn ask(socket: &mut File, message: &[u8]) -> std::io::Result<()> {
    socket.write_all(message)?;
    let mut answer = [0; 4096];
    let len = socket.read(&mut answer)?;
    netlink::acknowledged(&answer[..len])
}
