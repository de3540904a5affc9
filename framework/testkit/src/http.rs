//! A client of HTTP by hand, on a simulated network. It panics where the server does not speak HTTP.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use millstream_core::net::{Net, NetStream};

use crate::SimNet;

/// A client.
pub struct Client {
    /// Its connection.
    pub stream: Box<dyn NetStream>,
    /// What has come and was not looked at.
    pub read: BytesMut,
}

/// The head of a response: the line of the status, and the headers in lower case.
pub struct Head(pub String);

impl Head {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.0.split(' ').nth(1).expect("the server speaks HTTP").parse().expect("the server speaks HTTP")
    }

    /// A header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Client {
    /// A client that is connected, when somebody listens there.
    pub async fn connect(net: &SimNet, address: SocketAddr) -> Self {
        // The listener is there when the element runs.
        loop {
            if let Ok(stream) = net.connect(address).await {
                return Self { stream, read: BytesMut::new() };
            }
            yield_now().await;
        }
    }

    /// A client that asks for something.
    pub async fn get(net: &SimNet, address: SocketAddr, target: &str, version: &str) -> Self {
        let mut client = Self::connect(net, address).await;
        client.send(&format!("GET {target} HTTP/{version}\r\nHost: localhost\r\n\r\n")).await;
        client
    }

    /// Sends this.
    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("the server speaks HTTP");
    }

    async fn more(&mut self) -> bool {
        self.read.reserve(64 << 10);
        self.stream.read(&mut self.read).await.is_ok_and(|count| count > 0)
    }

    /// The head of a response.
    pub async fn head(&mut self) -> Head {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                return Head(String::from_utf8(self.read.split_to(end + 4).to_vec()).expect("the server speaks HTTP"));
            }
            assert!(self.more().await, "ended in the head: {:?}", self.read);
        }
    }

    /// These many bytes.
    pub async fn take(&mut self, count: usize) -> Bytes {
        while self.read.len() < count {
            assert!(self.more().await, "ended after {} of {count} bytes", self.read.len());
        }
        self.read.split_to(count).freeze()
    }

    /// Asks on the same connection; `headers` are whole lines.
    pub async fn ask(&mut self, method: &str, target: &str, headers: &str) -> Head {
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
        self.head().await
    }

    /// The body that a head announced, by its length.
    pub async fn body(&mut self, head: &Head) -> Bytes {
        let length = head.get("content-length").expect("a length").parse().expect("a number");
        self.take(length).await
    }

    /// What comes until the end.
    pub async fn rest(&mut self) -> Bytes {
        while self.more().await {}
        self.read.split().freeze()
    }

    /// A chunk of a body (RFC 9112, 7.1); the last is empty.
    pub async fn chunk(&mut self) -> Bytes {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(end + 2).await;
                let size =
                    usize::from_str_radix(std::str::from_utf8(&line[..end]).expect("the server speaks HTTP"), 16)
                        .expect("the server speaks HTTP");
                let chunk = self.take(size).await;
                assert_eq!(&self.take(2).await[..], b"\r\n");
                return chunk;
            }
            assert!(self.more().await, "ended between chunks");
        }
    }

    /// Chunks up to the last.
    pub async fn chunks(&mut self) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        loop {
            match self.chunk().await {
                last if last.is_empty() => return chunks,
                chunk => chunks.push(chunk),
            }
        }
    }
}

/// Lets other tasks go on.
async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
