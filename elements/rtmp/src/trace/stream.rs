//! A connection that is watched.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use millstream_core::net::NetStream;
use millstream_core::trace::{Side, TraceHead, TraceSink};
use millstream_core::{Env, TimeDelta};

use super::Dissector;
use crate::RtmpUrl;

/// The same stream, whose conversation is told to the tracer of `env`, if there is one. `peer` is how the other end is called, its address
/// if nothing else is known; `secrets` must not be shown.
pub(crate) fn traced(
    stream: Box<dyn NetStream>,
    env: &Env,
    here: Side,
    peer: Option<String>,
    secrets: &[&str],
) -> Box<dyn NetStream> {
    let Some(sink) = env.trace.clone() else { return stream };
    let peer = peer.unwrap_or_else(|| stream.peer().to_string());
    let head = TraceHead { protocol: "RTMP", here, peer, at: env.clock.now(), wall: env.clock.wall() };
    let mut dissector = Dissector::default();
    secrets.iter().for_each(|secret| dissector.hide(secret));
    let conversation = sink.begin(head);
    Box::new(Traced { stream, dissector, env: env.clone(), here, sink, conversation })
}

/// [`traced`] for a connection to the server of `url`.
pub(crate) fn traced_client(stream: Box<dyn NetStream>, env: &Env, url: &RtmpUrl) -> Box<dyn NetStream> {
    let user = url.user.iter().flat_map(|(name, password)| [&**name, password.reveal()]);
    let secrets: Vec<&str> = user.chain([url.stream.reveal()]).collect();
    traced(stream, env, Side::Client, Some(url.to_string()), &secrets)
}

struct Traced {
    stream: Box<dyn NetStream>,
    dissector: Dissector,
    env: Env,
    here: Side,
    sink: Arc<dyn TraceSink>,
    conversation: u64,
}

impl Traced {
    fn said(&mut self, from: Side, bytes: Bytes) {
        self.dissector.take(from, bytes, self.env.clock.now());
        self.tell();
    }

    fn tell(&mut self) {
        while let Some(event) = self.dissector.next_event() {
            self.sink.event(self.conversation, event);
        }
    }

    fn closed(&mut self, from: Side) {
        self.dissector.close(from, self.env.clock.now());
        self.tell();
    }
}

impl NetStream for Traced {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let before = into.len();
        let read = self.stream.poll_read(cx, into);
        if let Poll::Ready(Ok(read)) = &read {
            match read {
                0 => self.closed(self.here.other()),
                _ => self.said(self.here.other(), Bytes::copy_from_slice(into.get(before..).unwrap_or_default())),
            }
        }
        read
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = self.stream.poll_write(cx, slices);
        if let Poll::Ready(Ok(written)) = written {
            let mut bytes = BytesMut::with_capacity(written);
            for slice in slices {
                let left = written - bytes.len();
                bytes.extend_from_slice(slice.get(..left.min(slice.len())).unwrap_or_default());
            }
            self.said(self.here, bytes.freeze());
        }
        written
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self.stream.poll_shutdown(cx);
        if shut.is_ready() {
            self.closed(self.here);
        }
        shut
    }

    fn give_up_after(&mut self, limit: TimeDelta) -> io::Result<()> {
        self.stream.give_up_after(limit)
    }

    fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.dissector.flush();
        self.tell();
        self.sink.end(self.conversation, self.env.clock.now());
    }
}
