//! The bytes of the few rtnetlink(7) messages init sends, and of the answer it expects.
//!
//! Numbers are from linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h and linux/if_link.h.
#![forbid(unsafe_code)]

use std::io;
use std::net::Ipv4Addr;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const AF_INET: u8 = 2;
const IFF_UP: u32 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RTN_UNICAST: u8 = 1;
const HEADER_BYTES: usize = 16;

/// Sets an interface up.
pub fn link_up(index: u32) -> Vec<u8> {
    // struct ifinfomsg: family, pad, type, index, flags, change mask.
    let mut body = vec![0; 4];
    for number in [index, IFF_UP, IFF_UP] {
        body.extend(number.to_ne_bytes());
    }
    message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, &body)
}

/// Gives an interface an address; the kernel adds the route to its network.
pub fn add_address(index: u32, address: Ipv4Addr, prefix_len: u8) -> Vec<u8> {
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let mut body = vec![AF_INET, prefix_len, 0, RT_SCOPE_UNIVERSE];
    body.extend(index.to_ne_bytes());
    attribute(&mut body, IFA_LOCAL, address.octets());
    attribute(&mut body, IFA_ADDRESS, address.octets());
    message(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, &body)
}

/// Sends what goes nowhere else through a gateway.
pub fn add_default_route(index: u32, gateway: Ipv4Addr) -> Vec<u8> {
    // struct rtmsg: family, destination and source length, tos, table, protocol, scope, type, flags.
    let mut body =
        vec![AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0, 0, 0, 0];
    attribute(&mut body, RTA_GATEWAY, gateway.octets());
    attribute(&mut body, RTA_OIF, index.to_ne_bytes());
    message(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, &body)
}

/// Reads the kernel's acknowledgement.
pub fn acknowledged(answer: &[u8]) -> io::Result<()> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed netlink answer");
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(HEADER_BYTES..).and_then(|body| body.first_chunk::<4>());
    match (kind, code.map(|bytes| i32::from_ne_bytes(*bytes))) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Err(malformed()),
    }
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: [u8; 4]) {
    body.extend(8u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER_BYTES + body.len()).expect("messages are a few dozen bytes");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend(len.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence number and port: one request at a time on one socket needs neither.
    bytes.extend([0; 8]);
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_the_headers_say() {
        let header = |len: u8, kind: u8, flags: [u8; 2]| {
            [&[len, 0, 0, 0, kind, 0], flags.as_slice(), &[0; 8]].concat()
        };
        assert_eq!(
            link_up(3),
            [&header(32, 16, [5, 0])[..], &[0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]].concat()
        );
        let address = [2, 30, 0, 0, 2, 0, 0, 0, 8, 0, 2, 0, 172, 16, 0, 2, 8, 0, 1, 0, 172, 16, 0, 2];
        assert_eq!(
            add_address(2, Ipv4Addr::new(172, 16, 0, 2), 30),
            [&header(40, 20, [5, 4])[..], &address].concat()
        );
        let route = [2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0, 8, 0, 5, 0, 172, 16, 0, 1, 8, 0, 4, 0, 2, 0, 0, 0];
        assert_eq!(
            add_default_route(2, Ipv4Addr::new(172, 16, 0, 1)),
            [&header(44, 24, [5, 4])[..], &route].concat()
        );
    }

    #[test]
    fn answers_are_read() {
        let answer = |code: i32| {
            [&[36, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &code.to_ne_bytes()].concat()
        };
        acknowledged(&answer(0)).unwrap();
        assert_eq!(acknowledged(&answer(-17)).unwrap_err().raw_os_error(), Some(17));
        assert!(acknowledged(&[]).is_err());
        assert!(acknowledged(&answer(0)[..18]).is_err());
    }
}
