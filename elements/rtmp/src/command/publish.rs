//! `publish` (RTMP 1.0, 7.2.2.6).

use millstream_amf::Value;

use super::{Command, Invoke};
use crate::Secret;

/// What a server does with a stream besides handing it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PublishType {
    /// Nothing.
    #[default]
    Live,
    /// Record it, into a new file.
    Record,
    /// Record it, behind what the file holds.
    Append,
}

impl PublishType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Record => "record",
            Self::Append => "append",
        }
    }
}

/// The command that makes a message stream carry media to the server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Publish {
    /// Name of the stream, perhaps with a query: the key.
    pub name: Secret,
    /// Live unless another known word is said; gst-launch and old encoders say none.
    pub kind: PublishType,
    /// Further arguments.
    pub extra: Vec<Value>,
}

impl Publish {
    /// Without a name, or with the boolean false for one, it means the end of publishing.
    pub(super) fn from_invoke(invoke: &Invoke) -> Command {
        if invoke.boolean(0) == Some(false) {
            return Command::CloseStream;
        }
        let kind = match invoke.argument(1).as_str() {
            Some("record") => PublishType::Record,
            Some("append" | "appendWithGap") => PublishType::Append,
            _ => PublishType::Live,
        };
        let extra = invoke.arguments.get(2..).unwrap_or_default().to_vec();
        Command::Publish(Self { name: invoke.secret(0), kind, extra })
    }

    pub(super) fn to_arguments(&self) -> Vec<Value> {
        let own = [self.name.reveal().into(), self.kind.as_str().into()];
        own.into_iter().chain(self.extra.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(arguments: Vec<Value>) -> Command {
        Publish::from_invoke(&Invoke::new("publish", 5.0, Value::Null, arguments))
    }

    #[test]
    fn rtmp_m7_types_of_publishing() {
        for (word, kind) in [
            ("live", PublishType::Live),
            ("record", PublishType::Record),
            ("append", PublishType::Append),
            ("LIVE", PublishType::Live),
        ] {
            let Command::Publish(publish) = publish(vec!["cam?k=1".into(), word.into()]) else { panic!() };
            assert_eq!((publish.name.reveal(), publish.kind), ("cam?k=1", kind));
        }
        assert!(matches!(publish(vec!["cam".into()]), Command::Publish(Publish { kind: PublishType::Live, .. })));
        assert_eq!(publish(vec![false.into()]), Command::CloseStream);
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", publish(vec!["s3cret".into(), "live".into()]));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
