//! Commands (RTMP 1.0, 7.2): remote procedure calls in AMF, one a file where they have fields of their own.
//!
//! On the wire each is an [`Invoke`]: a name, a transaction id, a command object and arguments. [`Command`] is what it means.

mod connect;
mod enhanced;
mod invoke;
mod play;
mod publish;
mod response;
mod status;

use millstream_amf::Value;

pub use connect::{Connect, ObjectEncoding};
pub use enhanced::{Enhanced, FourCcFlags, caps_ex};
pub use invoke::{CommandError, Invoke};
pub use play::{Extra, Play, Play2, PlayStart};
pub use publish::{Publish, PublishType};
pub use response::{ConnectResult, Response};
pub use status::{Level, Status, code};

use crate::Secret;

/// A command by its meaning. Stream names are secrets, since publishers' names are keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `connect`: the first command of a connection.
    Connect(Box<Connect>),
    /// `createStream`: answered with a message stream id.
    CreateStream,
    /// `releaseStream`: encoders ask the server to free a name that is left over from them.
    ReleaseStream(Secret),
    /// `FCPublish`: encoders announce `publish`.
    FcPublish(Secret),
    /// `FCUnpublish`: the end of publishing.
    FcUnpublish(Secret),
    /// `FCSubscribe`: players announce `play` to an edge server.
    FcSubscribe(Secret),
    /// `FCUnsubscribe`: the end of playing.
    FcUnsubscribe(Secret),
    /// `getStreamLength`: answered with seconds, 0 for live.
    GetStreamLength(Secret),
    /// `_checkbw`: a bandwidth check; any answer will do.
    CheckBandwidth,
    /// `publish` on a message stream.
    Publish(Publish),
    /// `play` on a message stream.
    Play(Play),
    /// `play2` on a message stream.
    Play2(Box<Play2>),
    /// `seek` to milliseconds from the start.
    Seek(f64),
    /// `pause` or go on.
    Pause {
        /// Pause, not go on.
        pause: bool,
        /// Milliseconds of the stream at which the client stands.
        milliseconds: f64,
    },
    /// `receiveAudio`: whether the player wants audio.
    ReceiveAudio(bool),
    /// `receiveVideo`: whether the player wants video.
    ReceiveVideo(bool),
    /// `deleteStream`: the message stream is gone. GStreamer sends the stream's name in place of its id: no id then.
    DeleteStream(Option<u32>),
    /// `closeStream`: stop publishing or playing; the message stream stays.
    CloseStream,
    /// `close`: the connection ends.
    Close,
    /// `onStatus`, of a message stream or of the connection.
    OnStatus(Status),
    /// `_result` or `_error`.
    Response(Response),
    /// Anything else: a call of a remote procedure.
    Call(Invoke),
}

impl Command {
    /// What a command means. Missing arguments are taken for their defaults, as peers leave out what they like.
    pub fn from_invoke(invoke: Invoke) -> Self {
        match &*invoke.name {
            "connect" => Self::Connect(Box::new(Connect::from_invoke(&invoke))),
            "createStream" => Self::CreateStream,
            "releaseStream" => Self::ReleaseStream(invoke.secret(0)),
            "FCPublish" => Self::FcPublish(invoke.secret(0)),
            "FCUnpublish" => Self::FcUnpublish(invoke.secret(0)),
            "FCSubscribe" => Self::FcSubscribe(invoke.secret(0)),
            "FCUnsubscribe" => Self::FcUnsubscribe(invoke.secret(0)),
            "getStreamLength" | "getMovLen" => Self::GetStreamLength(invoke.secret(0)),
            "_checkbw" | "checkBandwidth" => Self::CheckBandwidth,
            "publish" => Publish::from_invoke(&invoke),
            "play" => Self::Play(Play::from_invoke(&invoke)),
            "play2" => Self::Play2(Box::new(Play2::from_invoke(&invoke))),
            "seek" => Self::Seek(invoke.number(0).unwrap_or_default()),
            "pause" | "pauseRaw" => Self::Pause {
                pause: invoke.boolean(0).unwrap_or(true),
                milliseconds: invoke.number(1).unwrap_or_default(),
            },
            "receiveAudio" => Self::ReceiveAudio(invoke.boolean(0).unwrap_or(true)),
            "receiveVideo" => Self::ReceiveVideo(invoke.boolean(0).unwrap_or(true)),
            // `as` saturates, which for an id that no stream has is as good as any.
            "deleteStream" => Self::DeleteStream(invoke.number(0).map(|id| id as u32)),
            "closeStream" => Self::CloseStream,
            "close" => Self::Close,
            "onStatus" => Self::OnStatus(Status::from_value(invoke.argument(0))),
            "_result" | "_error" => Self::Response(Response::from_invoke(invoke)),
            _ => Self::Call(invoke),
        }
    }

    /// The command as it goes on the wire. `transaction` is left aside by responses and calls, which have their own.
    pub fn to_invoke(&self, transaction: f64) -> Invoke {
        let invoke = |name, arguments| Invoke::new(name, transaction, Value::Null, arguments);
        match self {
            Self::Connect(connect) => connect.to_invoke(transaction),
            Self::CreateStream => invoke("createStream", vec![]),
            Self::ReleaseStream(name) => invoke("releaseStream", vec![name.reveal().into()]),
            Self::FcPublish(name) => invoke("FCPublish", vec![name.reveal().into()]),
            Self::FcUnpublish(name) => invoke("FCUnpublish", vec![name.reveal().into()]),
            Self::FcSubscribe(name) => invoke("FCSubscribe", vec![name.reveal().into()]),
            Self::FcUnsubscribe(name) => invoke("FCUnsubscribe", vec![name.reveal().into()]),
            Self::GetStreamLength(name) => invoke("getStreamLength", vec![name.reveal().into()]),
            Self::CheckBandwidth => invoke("_checkbw", vec![]),
            Self::Publish(publish) => invoke("publish", publish.to_arguments()),
            Self::Play(play) => invoke("play", play.to_arguments()),
            Self::Play2(play) => invoke("play2", vec![play.to_value()]),
            Self::Seek(milliseconds) => invoke("seek", vec![(*milliseconds).into()]),
            Self::Pause { pause, milliseconds } => invoke("pause", vec![(*pause).into(), (*milliseconds).into()]),
            Self::ReceiveAudio(on) => invoke("receiveAudio", vec![(*on).into()]),
            Self::ReceiveVideo(on) => invoke("receiveVideo", vec![(*on).into()]),
            Self::DeleteStream(id) => invoke("deleteStream", id.map(|id| f64::from(id).into()).into_iter().collect()),
            Self::CloseStream => invoke("closeStream", vec![]),
            Self::Close => invoke("close", vec![]),
            Self::OnStatus(status) => invoke("onStatus", vec![status.to_value()]),
            Self::Response(response) => response.to_invoke(),
            Self::Call(call) => call.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageType;

    /// A body by its values, written by hand as the standard draws the commands.
    fn body(values: &[Value]) -> Vec<u8> {
        let mut body = Vec::new();
        values.iter().for_each(|value| millstream_amf::amf0::write(value, &mut body));
        body
    }

    fn read(values: &[Value]) -> Command {
        Command::from_invoke(Invoke::parse(MessageType::Command, &body(values)).unwrap())
    }

    #[test]
    fn rtmp_m6_commands_of_streams_are_read_and_written() {
        let key = || Secret::from("cam");
        let commands: Vec<(&str, Vec<Value>, Command)> = vec![
            ("createStream", vec![], Command::CreateStream),
            ("releaseStream", vec!["cam".into()], Command::ReleaseStream(key())),
            ("FCPublish", vec!["cam".into()], Command::FcPublish(key())),
            ("FCUnpublish", vec!["cam".into()], Command::FcUnpublish(key())),
            ("FCSubscribe", vec!["cam".into()], Command::FcSubscribe(key())),
            ("FCUnsubscribe", vec!["cam".into()], Command::FcUnsubscribe(key())),
            ("getStreamLength", vec!["cam".into()], Command::GetStreamLength(key())),
            ("_checkbw", vec![], Command::CheckBandwidth),
            ("seek", vec![1500.0.into()], Command::Seek(1500.0)),
            ("pause", vec![true.into(), 90.0.into()], Command::Pause { pause: true, milliseconds: 90.0 }),
            ("receiveAudio", vec![false.into()], Command::ReceiveAudio(false)),
            ("receiveVideo", vec![true.into()], Command::ReceiveVideo(true)),
            ("deleteStream", vec![1.0.into()], Command::DeleteStream(Some(1))),
            ("closeStream", vec![], Command::CloseStream),
            ("close", vec![], Command::Close),
        ];
        for (name, arguments, command) in commands {
            let values: Vec<Value> =
                [name.into(), Value::Number(4.0), Value::Null].into_iter().chain(arguments).collect();
            assert_eq!(read(&values), command, "{name}");
            assert_eq!(command.to_invoke(4.0).to_payload(), body(&values), "{name}");
        }
    }

    #[test]
    fn rtmp_m2_gstreamer_deletes_a_stream_by_name() {
        assert_eq!(read(&["deleteStream".into(), 0.0.into(), Value::Null, "gst2".into()]), Command::DeleteStream(None));
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        for name in ["connect", "publish", "play", "play2", "pause", "seek", "onStatus", "_result", "deleteStream"] {
            read(&[name.into()]);
            read(&[name.into(), Value::Null, Value::Undefined]);
        }
    }
}
