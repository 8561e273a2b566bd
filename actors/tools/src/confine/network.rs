//! A network of one's own begins with nothing in it, and its loopback is down: it is brought up, so that what a command serves to
//! itself works.

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};

/// `RTM_NEWLINK`: a link is changed.
const CHANGE_LINK: u16 = 16;

/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;

/// `IFF_UP`.
const UP: u32 = 1;

/// In every network namespace the loopback is the first link.
const LOOPBACK: i32 = 1;

/// Brings the loopback up.
pub(super) fn bring_loopback_up() -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sendto(&socket, &message(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    Ok(())
}

/// A header (length, type, flags, sequence, sender) and a link (family, type, index, flags, which of them change).
fn message() -> Vec<u8> {
    let mut link = Vec::new();
    link.extend([0u8, 0]);
    link.extend(0u16.to_ne_bytes());
    link.extend(LOOPBACK.to_ne_bytes());
    link.extend(UP.to_ne_bytes());
    link.extend(UP.to_ne_bytes());
    let length = 16 + u32::try_from(link.len()).unwrap_or_default();
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(CHANGE_LINK.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    message.extend(0u32.to_ne_bytes());
    message.extend(link);
    message
}
