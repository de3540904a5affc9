//! Clients over TCP (RFC 8656, 3.1 and 12.5).

use std::sync::Arc;

use bytes::BytesMut;
use millstream_core::TimeDelta;
use millstream_core::net::NetStream;

use super::hub::Hub;
use crate::server::{Client, Transport};
use crate::stun::frame_len;

/// Longest frame: what UDP carries at most, with its header.
const MAX_FRAME: usize = 2048 + 64;

/// Bytes that are read at a time.
const READ_BLOCK: usize = 16 << 10;

/// How long a client without an allocation may be silent.
const IDLE: TimeDelta = TimeDelta::from_secs(30);

/// How long a client may take nothing of what it is sent.
const STALLED: TimeDelta = TimeDelta::from_secs(30);

/// Serves a client until it leaves, breaks the framing, or does nothing.
pub(super) async fn serve(mut stream: Box<dyn NetStream>, hub: Arc<Hub>) {
    let client = Client { transport: Transport::Tcp, address: stream.peer() };
    let mut outgoing = hub.enter(client.address);
    let _left = Left { hub: hub.clone(), client };
    // Where the system cannot, what is below still ends it.
    let _ = stream.give_up_after(STALLED);
    let mut input = BytesMut::new();
    loop {
        input.reserve(READ_BLOCK);
        let clock = &hub.env().clock;
        tokio::select! {
            read = stream.read(&mut input) => match read {
                Ok(1..) if hear(&hub, client, &mut input) => {}
                _ => return,
            },
            Some(bytes) = outgoing.recv() => tokio::select! {
                written = stream.write_all(&bytes) => if written.is_err() { return },
                () = clock.sleep_until(clock.now() + STALLED) => return,
            },
            () = clock.sleep_until(clock.now() + IDLE) => if !hub.has_allocation(client) { return },
        }
    }
}

/// Takes whole frames; false where there is none and never will be.
fn hear(hub: &Arc<Hub>, client: Client, input: &mut BytesMut) -> bool {
    loop {
        match next_frame(input) {
            Ok(Some(frame)) => hub.with(|server, at| server.receive(at, client, &frame)),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Takes the frame at the beginning of what has come, if all of it has.
///
/// # Errors
/// [`std::io::ErrorKind::InvalidData`] where there is none and never will be.
pub(super) fn next_frame(input: &mut BytesMut) -> std::io::Result<Option<BytesMut>> {
    match frame_len(input) {
        Ok(Some(len)) if len > MAX_FRAME => Err(std::io::ErrorKind::InvalidData.into()),
        Ok(Some(len)) if len <= input.len() => Ok(Some(input.split_to(len))),
        Ok(_) => Ok(None),
        Err(error) => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, error)),
    }
}

/// Tells that a client has gone, however that came.
struct Left {
    hub: Arc<Hub>,
    client: Client,
}

impl Drop for Left {
    fn drop(&mut self) {
        self.hub.left(self.client.address);
    }
}
