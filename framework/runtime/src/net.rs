//! The real network, and tasks on tokio.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
#[cfg(target_os = "linux")]
use millstream_core::TimeDelta;
use millstream_core::env::{BoxFuture, TaskHandle, Tasks};
use millstream_core::net::{DirectWrite, Net, NetDatagrams, NetListener, NetStream};
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

/// Streams that wait to be accepted: what Linux allows by default. A burst of a thousand players must not be refused.
const BACKLOG: u32 = 4096;

/// Room made for a read where there is none: some frames of video.
const READ_ROOM: usize = 64 << 10;

/// TCP and UDP.
pub(crate) struct Tcp;

impl Net for Tcp {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(lookup_host((host.as_str(), port)).await?.collect()) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn NetStream>>> {
        Box::pin(async move { boxed(TcpStream::connect(address).await?, address) })
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn NetListener>> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that restarts must not wait for the connections of its former life.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let local = listener.local_addr()?;
        Ok(Box::new(Listener { listener, local }))
    }

    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn NetDatagrams>> {
        super::datagrams::bind(address)
    }

    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        super::datagrams::addresses()
    }
}

struct Listener {
    listener: TcpListener,
    local: SocketAddr,
}

impl NetListener for Listener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn NetStream>>> {
        self.listener.poll_accept(cx).map(|accepted| accepted.and_then(|(stream, peer)| boxed(stream, peer)))
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}

fn boxed(stream: TcpStream, peer: SocketAddr) -> io::Result<Box<dyn NetStream>> {
    // What is written goes out at once: 40 ms of every exchange of commands are Nagle against delayed acknowledgements.
    stream.set_nodelay(true)?;
    Ok(Box::new(Stream { stream: Arc::new(stream), peer }))
}

struct Stream {
    stream: Arc<TcpStream>,
    peer: SocketAddr,
}

impl NetStream for Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let room = match into.capacity() - into.len() {
            0 => READ_ROOM,
            room => room,
        };
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let mut part = 0;
            let received = self.stream.try_io(Interest::READABLE, || {
                let len = self.stream.try_read_buf(&mut (&mut *into).limit(room))?;
                if 0 < len && len < room {
                    // There is no more: to ask would be a call of the system, and this says it too.
                    part = len;
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(len)
            });
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && part == 0 => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Ready(Ok(part)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => return Poll::Ready(received),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, || send(&self.stream, slices)) {
                // It was not writable any more, which is noted now.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(rustix::net::shutdown(&*self.stream, rustix::net::Shutdown::Write)?))
    }

    fn direct(&self) -> Option<Arc<dyn DirectWrite>> {
        Some(Arc::new(Direct(self.stream.clone())))
    }

    #[cfg(target_os = "linux")]
    fn give_up_after(&mut self, limit: TimeDelta) -> io::Result<()> {
        // 0 is the default of the system.
        let millis = u32::try_from(limit.millis()).unwrap_or(u32::MAX).max(1);
        Ok(rustix::net::sockopt::set_tcp_user_timeout(&*self.stream, millis)?)
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

/// The same socket for one who does not wait.
struct Direct(Arc<TcpStream>);

impl DirectWrite for Direct {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        send(&self.0, slices)
    }
}

/// `sendmsg`, and `send` for a single slice: of `writev` the kernel asks what only files need, a twentieth of the cost of a frame.
fn send(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    const FLAGS: SendFlags = SendFlags::NOSIGNAL;
    #[cfg(not(target_os = "linux"))]
    const FLAGS: SendFlags = SendFlags::empty();
    Ok(match slices {
        [slice] => rustix::net::send(stream, slice, FLAGS),
        _ => rustix::net::sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), FLAGS),
    }?)
}

/// Tasks on the workers of tokio.
pub(crate) struct TokioTasks {
    pub(crate) handle: tokio::runtime::Handle,
    /// Work that waits for files has threads. Without them it is done at once, and a simulation stays one.
    pub(crate) threads: bool,
}

impl Tasks for TokioTasks {
    fn spawn(&self, future: BoxFuture<'static, ()>) -> TaskHandle {
        let task = self.handle.spawn(future);
        TaskHandle::new(move || task.abort())
    }

    fn block(&self, work: Box<dyn FnOnce() + Send>) {
        match self.threads {
            true => drop(self.handle.spawn_blocking(work)),
            false => work(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_core::Env;

    use super::*;

    #[test]
    fn work_that_waits_has_a_thread_and_whoever_waits_hears_of_its_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for threads in [true, false] {
            let tasks = TokioTasks { handle: runtime.handle().clone(), threads };
            let env = Env::new(Arc::new(crate::clock::RealClock::new()), Arc::new(crate::fs::RealFs), 1);
            let env = env.with_net(Arc::new(Tcp), Arc::new(tasks));
            let here = std::thread::current().id();
            let there = runtime.block_on(env.blocking(|| std::thread::current().id()));
            assert_eq!(there.map(|there| there != here), Some(threads));
            if threads {
                let panics = env.blocking(|| std::panic::resume_unwind(Box::new("on purpose")));
                assert_eq!(runtime.block_on(panics), None::<()>);
            }
        }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn both_directions_of_a_stream_and_their_ends() {
        block_on(async {
            let net: &dyn Net = &Tcp;
            let mut listener = net.listen(([127, 0, 0, 1], 0).into()).unwrap();
            let port = listener.local().port();
            let mut client = net.connect_host("localhost", port).await.unwrap();
            let mut server = listener.accept().await.unwrap();
            client.write_all(b"hello").await.unwrap();
            client.shutdown().await.unwrap();
            let mut into = BytesMut::with_capacity(4);
            assert_eq!(server.read(&mut into).await.unwrap(), 4, "not beyond the room there is");
            while server.read(&mut into).await.unwrap() > 0 {}
            assert_eq!(&into[..], b"hello");
            server.write_all(b"yes").await.unwrap();
            drop(server);
            let mut into = BytesMut::new();
            while client.read(&mut into).await.unwrap() > 0 {}
            assert_eq!(&into[..], b"yes");
        });
    }

    #[test]
    fn a_closed_port_refuses_and_a_task_ends_with_its_handle() {
        block_on(async {
            let net: &dyn Net = &Tcp;
            let listener = net.listen(([127, 0, 0, 1], 0).into()).unwrap();
            let address = listener.local();
            drop(listener);
            assert_eq!(net.connect(address).await.err().unwrap().kind(), io::ErrorKind::ConnectionRefused);
            let tasks = TokioTasks { handle: tokio::runtime::Handle::current(), threads: true };
            let (alive, gone) = tokio::sync::oneshot::channel::<()>();
            let handle = tasks.spawn(Box::pin(async move {
                let _alive = alive;
                std::future::pending().await
            }));
            drop(handle);
            assert!(gone.await.is_err());
        });
    }
}
