//! What the owner of a client can ask for.

use bytes::Bytes;
use millstream_amf::Value;
use millstream_core::TimeDelta;

use super::{Asked, ClientSession, Role};
use crate::command::{Command, Invoke, Play, Play2, Publish, Response, Status};
use crate::message::{Message, MessageType, UserControl, chunk_stream, set_data_frame};
use crate::session::{Media, MediaKind, Phase};

impl ClientSession {
    /// Asks for a message stream; [`ClientEvent::StreamCreated`](super::ClientEvent::StreamCreated) says which.
    pub fn create_stream(&mut self) {
        self.ask(0, &Command::CreateStream, Asked::CreateStream);
        self.wait(Phase::Stream);
    }

    /// Asks to publish on a message stream; [`ClientEvent::Publishing`](super::ClientEvent::Publishing) says when to begin.
    pub fn publish(&mut self, stream: u32, publish: Publish) {
        self.set_role(stream, Role::Publish { started: false });
        self.ask(stream, &Command::Publish(publish), Asked::Needed);
        self.wait(Phase::Stream);
    }

    /// Asks to play on a message stream. A live stream may begin much later; only the answer has a time.
    pub fn play(&mut self, stream: u32, play: Play) {
        self.set_role(stream, Role::Play { started: false });
        self.ask(stream, &Command::Play(play), Asked::Needed);
        self.wait(Phase::Stream);
    }

    /// Asks for another rate of what is played.
    pub fn play2(&mut self, stream: u32, play: Play2) {
        self.tell(stream, &Command::Play2(Box::new(play)));
    }

    /// Asks to play on from so many milliseconds.
    pub fn seek(&mut self, stream: u32, milliseconds: f64) {
        self.tell(stream, &Command::Seek(milliseconds));
    }

    /// Asks to pause, or to go on; `milliseconds` is where the stream stands.
    pub fn pause(&mut self, stream: u32, pause: bool, milliseconds: f64) {
        self.tell(stream, &Command::Pause { pause, milliseconds });
    }

    /// Says whether audio is wanted.
    pub fn receive_audio(&mut self, stream: u32, on: bool) {
        self.tell(stream, &Command::ReceiveAudio(on));
    }

    /// Says whether video is wanted.
    pub fn receive_video(&mut self, stream: u32, on: bool) {
        self.tell(stream, &Command::ReceiveVideo(on));
    }

    /// Says how much is kept ahead of what is shown.
    pub fn set_buffer_length(&mut self, stream: u32, buffer: TimeDelta) {
        let milliseconds = u32::try_from(buffer.millis().max(0)).unwrap_or(u32::MAX);
        self.link.send(&UserControl::SetBufferLength { stream_id: stream, milliseconds }.to_message());
    }

    /// Stops publishing or playing on a message stream, which stays.
    pub fn close_stream(&mut self, stream: u32) {
        self.set_role(stream, Role::Idle);
        self.tell(stream, &Command::CloseStream);
    }

    /// Calls a procedure of the server. The id comes back in [`ClientEvent::Answer`](super::ClientEvent::Answer).
    pub fn call(&mut self, name: &str, object: Value, arguments: Vec<Value>) -> f64 {
        let transaction = f64::from(self.next_transaction(Asked::Call));
        self.link.command(0, &Invoke::new(name, transaction, object, arguments));
        transaction
    }

    /// Answers a [`ClientEvent::Call`](super::ClientEvent::Call) by its transaction id, or says why it failed.
    pub fn answer_call(&mut self, transaction: f64, answer: Result<Value, &Status>) {
        if transaction != 0.0 {
            let response = match answer {
                Ok(value) => Response::result(transaction, Value::Null, vec![value]),
                Err(status) => Response::error(transaction, status),
            };
            self.tell(0, &Command::Response(response));
        }
    }

    /// Publishes audio or video.
    pub fn send_media(&mut self, stream: u32, media: &Media) {
        let (chunk_stream, kind) = match media.kind {
            MediaKind::Audio => (chunk_stream::AUDIO, MessageType::Audio),
            MediaKind::Video => (chunk_stream::VIDEO, MessageType::Video),
        };
        let payload = media.payload.clone();
        self.link.send(&Message { chunk_stream, kind, timestamp: media.timestamp, stream_id: stream, payload });
    }

    /// Publishes data that the server shall keep for players to come: a script body such as `onMetaData`.
    pub fn send_metadata(&mut self, stream: u32, timestamp: u32, body: &[u8]) {
        self.send_data(stream, timestamp, set_data_frame(body));
    }

    /// Publishes data: a script body such as `onTextData`.
    pub fn send_data(&mut self, stream: u32, timestamp: u32, body: Bytes) {
        let (chunk_stream, kind) = (chunk_stream::DATA, MessageType::Data);
        self.link.send(&Message { chunk_stream, kind, timestamp, stream_id: stream, payload: body });
    }

    /// Ends politely: `FCUnpublish` for what is published, `deleteStream` for every stream. The connection is to be closed when the
    /// output is sent.
    pub fn close(&mut self) {
        for (stream, role) in std::mem::take(&mut self.streams) {
            if matches!(role, Role::Publish { .. }) {
                let name = self.settings.url.stream.clone();
                self.ask(0, &Command::FcUnpublish(name), Asked::Optional);
            }
            self.ask(0, &Command::DeleteStream(Some(stream)), Asked::Optional);
        }
        self.closing = true;
        self.waiting = None;
    }

    fn tell(&mut self, stream: u32, command: &Command) {
        self.link.command(stream, &command.to_invoke(0.0));
    }

    fn set_role(&mut self, stream: u32, new: Role) {
        match self.streams.iter_mut().find(|(id, _)| *id == stream) {
            Some((_, role)) => *role = new,
            None => self.streams.push((stream, new)),
        }
    }
}
