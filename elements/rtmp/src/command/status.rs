//! `onStatus` (RTMP 1.0, 7.2.2; Enhanced RTMP v2, "Detailed Overview of the onStatus Command").

use std::fmt;

use millstream_amf::{Properties, Value};

/// Codes that are sent or understood here.
pub mod code {
    #![allow(missing_docs, reason = "each constant is the text that it holds")]
    pub const CONNECT_SUCCESS: &str = "NetConnection.Connect.Success";
    pub const CONNECT_REJECTED: &str = "NetConnection.Connect.Rejected";
    pub const CONNECT_CLOSED: &str = "NetConnection.Connect.Closed";
    pub const CONNECT_RECONNECT_REQUEST: &str = "NetConnection.Connect.ReconnectRequest";
    pub const CALL_FAILED: &str = "NetConnection.Call.Failed";
    pub const PUBLISH_START: &str = "NetStream.Publish.Start";
    pub const PUBLISH_BAD_NAME: &str = "NetStream.Publish.BadName";
    pub const PUBLISH_DENIED: &str = "NetStream.Publish.Denied";
    pub const UNPUBLISH_SUCCESS: &str = "NetStream.Unpublish.Success";
    pub const PLAY_RESET: &str = "NetStream.Play.Reset";
    pub const PLAY_START: &str = "NetStream.Play.Start";
    pub const PLAY_STOP: &str = "NetStream.Play.Stop";
    pub const PLAY_COMPLETE: &str = "NetStream.Play.Complete";
    pub const PLAY_FAILED: &str = "NetStream.Play.Failed";
    pub const PLAY_SWITCH: &str = "NetStream.Play.Switch";
    pub const PLAY_TRANSITION_COMPLETE: &str = "NetStream.Play.TransitionComplete";
    pub const PLAY_TRANSITION: &str = "NetStream.Play.Transition";
    pub const PLAY_STREAM_NOT_FOUND: &str = "NetStream.Play.StreamNotFound";
    pub const PLAY_PUBLISH_NOTIFY: &str = "NetStream.Play.PublishNotify";
    pub const PLAY_UNPUBLISH_NOTIFY: &str = "NetStream.Play.UnpublishNotify";
    pub const RECORD_START: &str = "NetStream.Record.Start";
    pub const RECORD_STOP: &str = "NetStream.Record.Stop";
    pub const RECORD_NO_ACCESS: &str = "NetStream.Record.NoAccess";
    pub const RECORD_FAILED: &str = "NetStream.Record.Failed";
    pub const SEEK_NOTIFY: &str = "NetStream.Seek.Notify";
    pub const SEEK_FAILED: &str = "NetStream.Seek.Failed";
    pub const PAUSE_NOTIFY: &str = "NetStream.Pause.Notify";
    pub const UNPAUSE_NOTIFY: &str = "NetStream.Unpause.Notify";
}

/// Characters of a code that are shown.
const SHOWN: usize = 64;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Level {
    /// It went well. Also any unknown word.
    #[default]
    Status,
    /// It goes on, but not well.
    Warning,
    /// It failed.
    Error,
}

impl Level {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What happened to a stream or connection: the object of `onStatus`, `_result` and `_error`.
///
/// Its `Debug` form shows level and code only: servers repeat stream keys in descriptions, and challenges of authentication.
#[derive(Clone, PartialEq, Default)]
pub struct Status {
    /// How bad it is.
    pub level: Level,
    /// What it is, such as [`code::PUBLISH_START`].
    pub code: String,
    /// For people. May hold secrets when it comes from a peer.
    pub description: String,
    /// Further properties.
    pub extra: Properties,
}

impl Status {
    /// A status of level `status`.
    pub fn new(code: &str, description: &str) -> Self {
        Self { code: code.to_owned(), description: description.to_owned(), ..Self::default() }
    }

    /// A status of level `error`.
    pub fn error(code: &str, description: &str) -> Self {
        Self { level: Level::Error, ..Self::new(code, description) }
    }

    /// A further property.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.extra.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The code as it may be shown: a peer could put anything there.
    pub fn shown_code(&self) -> &str {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
        if self.code.len() <= SHOWN && self.code.chars().all(plain) { &self.code } else { "a code that is none" }
    }

    pub(crate) fn from_value(value: &Value) -> Self {
        let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let level = match text("level") {
            "error" => Level::Error,
            "warning" => Level::Warning,
            _ => Level::Status,
        };
        let own = ["level", "code", "description"];
        let others = value.properties().into_iter().flatten().filter(|(name, _)| !own.contains(&&**name));
        Self {
            level,
            code: text("code").to_owned(),
            description: text("description").to_owned(),
            extra: others.cloned().collect(),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        let own = [("level", self.level.as_str()), ("code", &*self.code), ("description", &*self.description)];
        let own = own.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text)));
        Value::object(own.chain(self.extra.iter().cloned()))
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.level.as_str(), self.shown_code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m5_status_is_read_and_written() {
        let status =
            Status { extra: vec![("details".into(), "x".into())], ..Status::error(code::PUBLISH_BAD_NAME, "taken") };
        let value = status.to_value();
        assert_eq!(value.get("level").and_then(Value::as_str), Some("error"));
        assert_eq!(Status::from_value(&value), status);
        assert_eq!(Status::from_value(&Value::Null), Status::default());
    }

    #[test]
    fn debug_shows_no_description_and_no_odd_code() {
        let status = Status::new(code::PUBLISH_START, "/live/s3cret is now published.");
        assert_eq!(format!("{status:?}"), "status NetStream.Publish.Start");
        assert!(!format!("{:?}", Status::new("/live/s3cret?", "")).contains("s3cret"));
    }
}
