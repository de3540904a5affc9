//! What a server says: answers that its owner decides, and news.

use bytes::Bytes;
use millstream_amf::{Value, amf0};

use super::stream::Role;
use super::{Connected, Request, ServerSession};
use crate::command::{Command, ConnectResult, Invoke, Response, Status, caps_ex, code};
use crate::message::{Control, Message, MessageType, PeerLimit, UserControl, chunk_stream};
use crate::session::{Media, MediaKind, Phase};

/// Why a stream that is played ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlayEnd {
    /// All that was asked for has been played.
    Complete,
    /// The publisher is gone.
    Unpublished,
}

impl ServerSession {
    /// Accepts `connect`: Window Acknowledgement Size, Set Peer Bandwidth, Set Chunk Size, StreamBegin, `_result`.
    pub fn accept_connect(&mut self) {
        let Connected::Asked(transaction, encoding) = self.connected else { return };
        self.connected = Connected::Yes;
        self.waiting = Some((Phase::Stream, self.now + self.settings.request_timeout));
        let window = self.settings.window;
        self.link.announce_window(window);
        self.link.send(&Control::SetPeerBandwidth { window, limit: PeerLimit::Dynamic }.to_message());
        self.link.set_chunk_size(self.settings.chunk_size);
        self.link.send(&UserControl::StreamBegin(0).to_message());
        let result = ConnectResult::new(encoding, self.settings.enhanced.clone());
        self.respond(0, result.to_response(transaction));
    }

    /// Refuses `connect`; the connection closes. The description goes to the client, and may hold a challenge.
    pub fn reject_connect(&mut self, description: &str) {
        self.refuse_connect(&Status::error(code::CONNECT_REJECTED, description));
    }

    /// Sends the client to another server; the connection closes.
    pub fn redirect_connect(&mut self, url: &str) {
        let target = Value::object([("code", Value::from(302.0)), ("redirect", url.into())]);
        let status = Status::error(code::CONNECT_REJECTED, "Connect to another server.");
        self.refuse_connect(&Status { extra: vec![("ex".into(), target)], ..status });
    }

    fn refuse_connect(&mut self, status: &Status) {
        let Connected::Asked(transaction, _) = self.connected else { return };
        self.respond(0, Response::error(transaction, status));
        self.closing = true;
    }

    /// Accepts `publish`: StreamBegin, `NetStream.Publish.Start`.
    pub fn accept_publish(&mut self, stream: u32) {
        let Some(Role::Publish { accepted, .. }) = self.streams.role(stream) else { return };
        *accepted = true;
        self.link.send(&UserControl::StreamBegin(stream).to_message());
        self.notify(stream, &Status::new(code::PUBLISH_START, "Publishing."));
    }

    /// Refuses `publish`, with [`code::PUBLISH_BAD_NAME`] for a name that is taken or [`code::PUBLISH_DENIED`]. The connection closes,
    /// unless it publishes or plays on other streams: encoders that were refused send on regardless.
    pub fn refuse_publish(&mut self, stream: u32, code: &str, description: &str) {
        self.end_publish(stream, code, description);
        self.closing |= self.streams.all_idle();
    }

    /// Takes from the client the right to publish on a stream, and says why. What it still sends there is ignored.
    pub fn end_publish(&mut self, stream: u32, code: &str, description: &str) {
        if let Some(role @ Role::Publish { .. }) = self.streams.role(stream) {
            *role = Role::Idle;
            self.notify(stream, &Status::error(code, description));
            self.wait_for_role();
        }
    }

    /// Accepts `play`: Set Chunk Size, StreamIsRecorded for a recording, StreamBegin, `NetStream.Play.Reset` if the client
    /// resets, `NetStream.Play.Start`. Metadata, sequence headers and the first key frame are to follow.
    pub fn accept_play(&mut self, stream: u32, recorded: bool) {
        let Some(Role::Play { reset, started, .. }) = self.streams.role(stream) else { return };
        // Only the first of a playlist resets.
        let reset = std::mem::take(reset);
        *started = true;
        // A player says little more.
        self.events.shrink_to_fit();
        self.link.set_chunk_size(self.settings.chunk_size);
        if recorded {
            self.link.send(&UserControl::StreamIsRecorded(stream).to_message());
        }
        self.link.send(&UserControl::StreamBegin(stream).to_message());
        if reset {
            self.notify(stream, &Status::new(code::PLAY_RESET, "Playing and resetting stream."));
        }
        self.notify(stream, &Status::new(code::PLAY_START, "Started playing stream."));
    }

    /// Refuses `play`, with [`code::PLAY_STREAM_NOT_FOUND`] or [`code::PLAY_FAILED`]. The client may ask for another.
    pub fn refuse_play(&mut self, stream: u32, code: &str, description: &str) {
        if let Some(role @ Role::Play { .. }) = self.streams.role(stream) {
            *role = Role::Idle;
            self.notify(stream, &Status::error(code, description));
            self.wait_for_role();
        }
    }

    /// Ends a stream that was played, by what there is for it: StreamEOF and a status. The client may play another, and seek in what
    /// was [complete](PlayEnd::Complete).
    pub fn end_play(&mut self, stream: u32, end: PlayEnd) {
        let Some(role @ Role::Play { over: false, .. }) = self.streams.role(stream) else { return };
        match role {
            Role::Play { over, .. } if end == PlayEnd::Complete => *over = true,
            role => *role = Role::Idle,
        }
        self.wait_for_role();
        match end {
            PlayEnd::Complete => {
                self.play_status(stream, &Status::new(code::PLAY_COMPLETE, "Stream finished playing."));
                self.link.send(&UserControl::StreamEof(stream).to_message());
                self.notify(stream, &Status::new(code::PLAY_STOP, "Stopped playing stream."));
            }
            PlayEnd::Unpublished => {
                self.link.send(&UserControl::StreamEof(stream).to_message());
                self.notify(stream, &Status::new(code::PLAY_UNPUBLISH_NOTIFY, "Stream is no longer published."));
            }
        }
    }

    /// The next [`accept_play`](ServerSession::accept_play) is a new beginning.
    pub fn reset_play(&mut self, stream: u32) {
        if let Some(Role::Play { reset, over, .. }) = self.streams.role(stream) {
            (*reset, *over) = (true, false);
            self.waiting = None;
        }
    }

    /// One of a playlist has ended, and [`accept_play`](ServerSession::accept_play) is to begin the next.
    pub fn end_of_item(&mut self, stream: u32) {
        self.play_status(stream, &Status::new(code::PLAY_SWITCH, "Switching to the next of the playlist."));
    }

    /// Tells a player's program of what it plays, in the order of media.
    pub fn play_status(&mut self, stream: u32, status: &Status) {
        self.send_data(stream, 0, &script("onPlayStatus", &status.to_value()));
    }

    /// Answers `seek`. A client that may not seek is told [`code::SEEK_FAILED`].
    pub fn answer_seek(&mut self, stream: u32, success: bool) {
        let status = match success {
            true => Status::new(code::SEEK_NOTIFY, "Seeking."),
            false => Status::error(code::SEEK_FAILED, "Cannot seek."),
        };
        if let (true, Some(Role::Play { over, .. })) = (success, self.streams.role(stream)) {
            *over = false;
            self.waiting = None;
        }
        self.notify(stream, &status);
    }

    /// Answers `pause`, which was done.
    pub fn answer_pause(&mut self, stream: u32, paused: bool) {
        let (code, description) = match paused {
            true => (code::PAUSE_NOTIFY, "Paused."),
            false => (code::UNPAUSE_NOTIFY, "Unpaused."),
        };
        self.notify(stream, &Status::new(code, description));
    }

    /// Answers `getStreamLength` with seconds; 0 for a live stream.
    pub fn answer_stream_length(&mut self, request: Request, seconds: f64) {
        self.answer_call(request, Ok(seconds.into()));
    }

    /// Answers a call, or says why it failed.
    pub fn answer_call(&mut self, request: Request, answer: Result<Value, &Status>) {
        let Request { transaction, stream } = request;
        if transaction != 0.0 {
            self.respond(
                stream,
                match answer {
                    Ok(value) => Response::result(transaction, Value::Null, vec![value]),
                    Err(status) => Response::error(transaction, status),
                },
            );
        }
    }

    /// Calls a procedure of the client. The id comes back in [`ServerEvent::Answer`](super::ServerEvent::Answer).
    pub fn call(&mut self, name: &str, arguments: Vec<Value>) -> f64 {
        self.calls = self.calls.wrapping_add(1).max(1);
        let transaction = f64::from(self.calls);
        self.link.command(0, &Invoke::new(name, transaction, Value::Null, arguments));
        transaction
    }

    /// Sends a status of a stream, or with stream 0 of the connection.
    pub fn notify(&mut self, stream: u32, status: &Status) {
        self.link.command(stream, &Command::OnStatus(status.clone()).to_invoke(0.0));
    }

    /// Sends a user control message, such as StreamDry.
    pub fn user_control(&mut self, event: UserControl) {
        self.link.send(&event.to_message());
    }

    /// Asks the client to move to `tc_url`, absolute or relative, or to connect anew to where it is (Enhanced RTMP v2,
    /// "Reconnect Request"). The connection goes on until the client leaves. False if the client did not say that it understands.
    pub fn request_reconnect(&mut self, tc_url: Option<&str>) -> bool {
        if !self.enhanced.has(caps_ex::RECONNECT) {
            return false;
        }
        let status = Status::new(code::CONNECT_RECONNECT_REQUEST, "The server asks to reconnect.");
        let extra = tc_url.map(|url| ("tcUrl".to_owned(), Value::from(url))).into_iter().collect();
        self.notify(0, &Status { extra, ..status });
        true
    }

    /// Sends media to a player. Many players of one stream are better served with [`chunk_once`](crate::chunk::chunk_once), on the
    /// same chunk streams ([`media_message`](ServerSession::media_message)) and with the chunk size of the settings.
    pub fn send_media(&mut self, stream: u32, media: &Media) {
        self.link.send_alone(&Self::media_message(stream, media));
    }

    /// The message that carries media to stream `stream` of a player.
    pub fn media_message(stream: u32, media: &Media) -> Message {
        let (chunk_stream, kind) = match media.kind {
            MediaKind::Audio => (chunk_stream::AUDIO, MessageType::Audio),
            MediaKind::Video => (chunk_stream::VIDEO, MessageType::Video),
        };
        let payload = media.payload.clone();
        Message { chunk_stream, kind, timestamp: media.timestamp, stream_id: stream, payload }
    }

    /// Sends data to a player: a script body such as `onMetaData`, without `@setDataFrame`.
    pub fn send_data(&mut self, stream: u32, timestamp: u32, body: &Bytes) {
        self.link.send_alone(&Self::data_message(stream, timestamp, body.clone()));
    }

    /// The message that carries data to stream `stream` of a player.
    pub fn data_message(stream: u32, timestamp: u32, body: Bytes) -> Message {
        let chunk_stream = chunk_stream::DATA;
        Message { chunk_stream, kind: MessageType::Data, timestamp, stream_id: stream, payload: body }
    }

    pub(super) fn respond(&mut self, stream: u32, response: Response) {
        self.link.command(stream, &Command::Response(response).to_invoke(0.0));
    }
}

fn script(name: &str, value: &Value) -> Bytes {
    let mut body = Vec::new();
    amf0::write(&name.into(), &mut body);
    amf0::write(value, &mut body);
    body.into()
}
