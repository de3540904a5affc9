//! The network as elements see it: byte streams between two ends, who listens for them, and datagrams.
//!
//! Elements never see a socket. In production these traits stand for TCP and UDP; a test puts two sessions on a simulated
//! network with delay and loss, and the same code runs on it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;

use crate::TimeDelta;
use crate::env::BoxFuture;

/// A connected stream of bytes.
///
/// Like a TCP socket without delay: what is written goes out at once.
pub trait NetStream: Send {
    /// Appends what has come, up to the room that `into` has beyond its length; 0 at the end. With no room, some is made.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>>;
    /// Sends bytes of the slices in order and says how many.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;
    /// Waits until what was written is on its way. Plain TCP has nothing to do.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }
    /// Ends the direction of writing; the other end reads the rest and then the end.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Breaks the connection with [`io::ErrorKind::TimedOut`] when the other end acknowledges nothing of what was written for so long,
    /// where the system can (RFC 5482). Without it the buffers of the system swallow what is written to a machine that is gone.
    ///
    /// # Errors
    /// Those of the network.
    fn give_up_after(&mut self, limit: TimeDelta) -> io::Result<()> {
        let _ = limit;
        Ok(())
    }
    /// Another way to write to it, for one who writes the same to many. Nothing where what is written is not what is sent, as with TLS.
    fn direct(&self) -> Option<Arc<dyn DirectWrite>> {
        None
    }
    /// Address of the other end.
    fn peer(&self) -> SocketAddr;
}

/// Writes to a [`NetStream`] beside whoever owns it. The two see to it that only one of them writes at a time.
pub trait DirectWrite: Send + Sync {
    /// Sends bytes of the slices in order, as many as can be without waiting, and says how many.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room, else those of the network. The owner meets them too.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// Accepts streams at an address.
pub trait NetListener: Send {
    /// The next stream.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn NetStream>>>;
    /// Address that it really has: with the port that the system chose for port 0.
    fn local(&self) -> SocketAddr;
}

/// Sends and receives datagrams at an address, as a UDP socket does: each may be lost, come twice, or come late.
pub trait NetDatagrams: Send + Sync {
    /// The next datagram behind what `into` holds, and who sent it. What is longer than [`MAX_DATAGRAM`] is cut. One task at a time waits.
    fn poll_receive(&self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<SocketAddr>>;
    /// Sends a datagram, if that can be done without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room, else those of the network.
    fn try_send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()>;
    /// Address that it really has: with the port that the system chose for port 0.
    fn local(&self) -> SocketAddr;
}

/// Longest datagram that is received whole: what Ethernet carries, and then some for jumbo frames that nobody should send.
pub const MAX_DATAGRAM: usize = 2048;

/// Makes streams and listeners.
pub trait Net: Send + Sync {
    /// Addresses of a host by name or literal, in the order in which to try them.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
    /// Connects to one address. The caller sets the time limit.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn NetStream>>>;
    /// Listens at one address. Port 0 lets the system choose.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn NetListener>>;
    /// Sends and receives datagrams at one address. Port 0 lets the system choose. Default: there is no way to.
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn NetDatagrams>> {
        let _ = address;
        Err(no_net())
    }
    /// Addresses of the machine, those of the loopback last. Default: none are known.
    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        Ok(Vec::new())
    }
}

/// A network on which nobody can be reached: the one of simulations that bring none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNet;

impl Net for NoNet {
    fn resolve(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(std::future::ready(Err(no_net())))
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn NetStream>>> {
        Box::pin(std::future::ready(Err(no_net())))
    }

    fn listen(&self, _: SocketAddr) -> io::Result<Box<dyn NetListener>> {
        Err(no_net())
    }
}

fn no_net() -> io::Error {
    io::Error::new(io::ErrorKind::NetworkUnreachable, "there is no network here")
}

impl dyn NetStream {
    /// [`NetStream::poll_read`] as a future. Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// Those of the network.
    pub async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, into)).await
    }

    /// Sends all bytes. What was sent when the future is dropped is unknown.
    ///
    /// # Errors
    /// Those of the network; `WriteZero` when it takes no more.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match poll_fn(|cx| self.poll_write(cx, &[IoSlice::new(bytes)])).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => bytes = bytes.get(sent..).unwrap_or_default(),
            }
        }
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Ends the direction of writing.
    ///
    /// # Errors
    /// Those of the network.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }
}

impl dyn NetDatagrams {
    /// [`NetDatagrams::poll_receive`] as a future. Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// Those of the network.
    pub async fn receive(&self, into: &mut BytesMut) -> io::Result<SocketAddr> {
        poll_fn(|cx| self.poll_receive(cx, into)).await
    }
}

impl dyn NetListener {
    /// [`NetListener::poll_accept`] as a future.
    ///
    /// # Errors
    /// Those of the network: of one stream (the listener goes on) or of the listener.
    pub async fn accept(&mut self) -> io::Result<Box<dyn NetStream>> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }
}

impl dyn Net {
    /// Resolves a host and connects to the first of its addresses that answers.
    ///
    /// # Errors
    /// Those of the last address tried; `NotFound` when the name has none.
    pub async fn connect_host(&self, host: &str, port: u16) -> io::Result<Box<dyn NetStream>> {
        let addresses = self.resolve(host, port).await?;
        self.connect_any(host, &addresses).await
    }

    /// Connects to the first of a host's addresses that answers.
    ///
    /// # Errors
    /// As `connect_host`.
    pub async fn connect_any(&self, host: &str, addresses: &[SocketAddr]) -> io::Result<Box<dyn NetStream>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for address in addresses {
            match self.connect(*address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
