//! Addresses, XORed so that nothing on the way rewrites them (RFC 8489, 14.2), and plain (14.1).
//!
//! ```text
//! 0(8) family(8) port(16) | address(32 or 128)
//! ```

use std::net::{IpAddr, SocketAddr};

use super::MAGIC_COOKIE;

/// The first 16 bits of the cookie.
const COOKIE_HIGH: u16 = (MAGIC_COOKIE >> 16) as u16;

fn mask(transaction: &[u8; 12]) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(transaction);
    mask
}

pub(super) fn read_address(value: &[u8], transaction: &[u8; 12]) -> Option<SocketAddr> {
    let xored = read_with(value, &mask(transaction))?;
    Some(SocketAddr::new(xored.ip(), xored.port() ^ COOKIE_HIGH))
}

pub(super) fn read_plain(value: &[u8]) -> Option<SocketAddr> {
    read_with(value, &[0; 16])
}

fn read_with(value: &[u8], mask: &[u8; 16]) -> Option<SocketAddr> {
    let (head, address) = value.split_at_checked(4)?;
    let port = u16::from_be_bytes([head[2], head[3]]);
    let plain: Vec<u8> = address.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    let ip: IpAddr = match (head[1], address.len()) {
        (1, 4) => <[u8; 4]>::try_from(plain).ok()?.into(),
        (2, 16) => <[u8; 16]>::try_from(plain).ok()?.into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

pub(super) fn write_address(address: SocketAddr, transaction: &[u8; 12]) -> Vec<u8> {
    write_with(address.ip(), address.port() ^ COOKIE_HIGH, &mask(transaction))
}

pub(super) fn write_plain(address: SocketAddr) -> Vec<u8> {
    write_with(address.ip(), address.port(), &[0; 16])
}

fn write_with(ip: IpAddr, port: u16, mask: &[u8; 16]) -> Vec<u8> {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let family = if octets.len() == 4 { 1 } else { 2 };
    let masked = octets.iter().zip(mask).map(|(byte, mask)| byte ^ mask);
    [0, family].into_iter().chain(port.to_be_bytes()).chain(masked).collect()
}
