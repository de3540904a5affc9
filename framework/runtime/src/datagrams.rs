//! UDP on tokio.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use millstream_core::net::{MAX_DATAGRAM, NetDatagrams};
use rustix::net::SendFlags;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// Room that is asked of the system for what comes and goes in bursts: a key frame of some Mbit/s for a few hundred viewers. It gives what it
/// allows.
const SOCKET_BUFFER: usize = 4 << 20;

/// Binds a UDP socket.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Arc<dyn NetDatagrams>> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // The system gives less where it must.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER);
    let local = socket.local_addr()?;
    Ok(Arc::new(Datagrams { socket: UdpSocket::from_std(socket)?, local }))
}

/// Addresses of the interfaces that are up, those of the loopback last.
pub(crate) fn addresses() -> io::Result<Vec<IpAddr>> {
    let mut all: Vec<IpAddr> = nix::ifaddrs::getifaddrs()?
        .filter(|interface| interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
        })
        .filter(|ip| !is_link_local(ip))
        .collect();
    all.sort_by_key(IpAddr::is_loopback);
    all.dedup();
    Ok(all)
}

/// Such an address means nothing without its interface.
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

struct Datagrams {
    socket: UdpSocket,
    local: SocketAddr,
}

impl NetDatagrams for Datagrams {
    fn poll_receive(&self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<SocketAddr>> {
        into.reserve(MAX_DATAGRAM);
        let mut bytes = [0; MAX_DATAGRAM];
        let mut room = ReadBuf::new(&mut bytes);
        let from = ready!(self.socket.poll_recv_from(cx, &mut room))?;
        into.put_slice(room.filled());
        Poll::Ready(Ok(from))
    }

    fn try_send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        // tokio would have to be asked before whether there is room, and does not know at first.
        rustix::net::sendto(&self.socket, bytes, SendFlags::empty(), &to)?;
        Ok(())
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_arrive_whole_with_who_sent_them() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let [a, b] = [(); 2].map(|()| bind(([127, 0, 0, 1], 0).into()).unwrap());
            a.try_send(b.local(), b"one").unwrap();
            a.try_send(b.local(), b"").unwrap();
            a.try_send(b.local(), &[7; MAX_DATAGRAM]).unwrap();
            for expected in [&b"one"[..], b"", &[7; MAX_DATAGRAM]] {
                let mut into = BytesMut::new();
                assert_eq!(b.receive(&mut into).await.unwrap(), a.local());
                assert_eq!(into, expected);
            }
            assert!(addresses().unwrap().iter().any(IpAddr::is_loopback));
        });
    }
}
