//! Where a signaling server is found, which elements have in common.

use std::net::SocketAddr;

use millstream_core::{Error, Result, TimeDelta};
use millstream_server::http::check_path;

/// How long a server may take to start. Elements of a pipeline start together.
pub(super) const PATIENCE: TimeDelta = TimeDelta::from_secs(10);

/// Longest name of a stream or room that signaling carries, in bytes and characters.
const MAX_STREAM: usize = 256;
const MAX_ROOM: usize = 64;

pub(super) fn default_path() -> String {
    "/signal".to_owned()
}

/// Looks at what all of them have.
pub(super) fn check(path: &str, stream: &str, room: Option<&str>) -> Result<()> {
    check_path(path, "/signal").map_err(|error| error.on_property("path"))?;
    let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !is_plain(stream) || stream.len() > MAX_STREAM || stream.contains('*') {
        let error = Error::settings(format!("a stream has a name of 1 to {MAX_STREAM} bytes, without `*`"));
        return Err(error.on_property("stream").hint("write stream=cam"));
    }
    if room.is_some_and(|room| !is_plain(room) || room.chars().count() > MAX_ROOM) {
        let error = Error::settings(format!("a room has a name of 1 to {MAX_ROOM} characters"));
        return Err(error.on_property("room").hint("write room=lobby, or leave it out"));
    }
    Ok(())
}

/// Nobody is there.
pub(super) fn no_server(listen: SocketAddr, path: &str) -> Error {
    Error::settings(format!("there is no signaling server at {listen} with the path {path} in this process"))
        .on_property("listen")
        .hint("add `signalingserver` with the same `listen` and `path` to this pipeline, or to one that runs with it")
}
