//! Commands of a client, and those answers that need no decision.

use millstream_amf::Value;

use super::stream::Role;
use super::{Connected, Request, ServerEvent, ServerSession};
use crate::Secret;
use crate::command::{Command, Connect, Invoke, Play, Publish, Response, Status, code};
use crate::session::Phase;

impl ServerSession {
    pub(super) fn command(&mut self, stream: u32, command: Command, transaction: f64) {
        match (self.connected, command) {
            (Connected::No, Command::Connect(connect)) => self.connect(*connect, transaction),
            // Nothing means anything ahead of connect, and connect means nothing twice.
            (Connected::No, _) | (_, Command::Connect(_)) => self.link.ignore(),
            (_, command) => self.connected_command(stream, command, transaction),
        }
    }

    fn connected_command(&mut self, stream: u32, command: Command, transaction: f64) {
        match command {
            Command::CreateStream => self.create_stream(transaction),
            Command::ReleaseStream(_) | Command::CheckBandwidth | Command::FcUnsubscribe(_) => self.result(transaction),
            Command::FcPublish(_) => self.announce("onFCPublish", code::PUBLISH_START, transaction),
            Command::FcSubscribe(_) => self.announce("onFCSubscribe", code::PLAY_START, transaction),
            Command::FcUnpublish(name) => self.fc_unpublish(&name, transaction),
            Command::GetStreamLength(name) => {
                let request = Request { transaction, stream };
                self.events.push_back(ServerEvent::StreamLength { request, name });
            }
            Command::Publish(publish) => self.publish(stream, publish, transaction),
            Command::Play(play) => self.play(stream, play, transaction),
            Command::Play2(play) => self.on_player(stream, |stream| ServerEvent::Play2 { stream, play }),
            Command::Seek(milliseconds) => {
                self.on_player(stream, |stream| ServerEvent::Seek { stream, milliseconds });
            }
            Command::Pause { pause, milliseconds } => {
                self.on_player(stream, |stream| ServerEvent::Pause { stream, pause, milliseconds });
            }
            Command::ReceiveAudio(on) => self.receive_media(stream, |audio, _| *audio = on, on),
            Command::ReceiveVideo(on) => self.receive_media(stream, |_, video| *video = on, on),
            Command::DeleteStream(id) => self.delete_stream(id, stream),
            Command::CloseStream => self.end(stream),
            Command::Close => self.close(),
            Command::Response(response) => self.events.push_back(ServerEvent::Answer(response)),
            Command::Call(invoke) => self.call_of_client(stream, invoke),
            // A client has no status to tell, and connect was handled.
            Command::OnStatus(_) | Command::Connect(_) => self.link.ignore(),
        }
    }

    fn connect(&mut self, connect: Connect, transaction: f64) {
        self.connected = Connected::Asked(transaction, connect.object_encoding);
        self.enhanced = connect.enhanced.clone();
        self.events.push_back(ServerEvent::Connect(Box::new(connect)));
    }

    fn create_stream(&mut self, transaction: f64) {
        let response = match self.streams.create(self.settings.streams) {
            Some(id) => Response::result(transaction, Value::Null, vec![f64::from(id).into()]),
            None => Response::error(transaction, &Status::error(code::CALL_FAILED, "Too many streams.")),
        };
        self.respond(0, response);
    }

    fn publish(&mut self, stream: u32, publish: Publish, transaction: f64) {
        self.end(stream);
        let role = Role::Publish { name: publish.name.clone(), transaction, accepted: false };
        if self.take_role(stream, role) {
            self.events.push_back(ServerEvent::Publish { stream, publish });
        }
    }

    /// A play that does not reset goes behind what the stream plays, on the same stream.
    fn play(&mut self, stream: u32, play: Play, transaction: f64) {
        if let (false, Some(Role::Play { over, .. })) = (play.reset, self.streams.role(stream)) {
            *over = false;
            self.waiting = None;
            return self.events.push_back(ServerEvent::Play { stream, play });
        }
        self.end(stream);
        let (reset, audio, video) = (play.reset, true, true);
        if self.take_role(stream, Role::Play { reset, transaction, started: false, audio, video, over: false }) {
            self.events.push_back(ServerEvent::Play { stream, play });
        }
    }

    fn take_role(&mut self, stream: u32, new: Role) -> bool {
        let Some(role) = self.streams.role_or_new(stream, self.settings.streams) else {
            self.link.ignore();
            return false;
        };
        *role = new;
        self.waiting = None;
        true
    }

    fn on_player(&mut self, stream: u32, event: impl FnOnce(u32) -> ServerEvent) {
        match self.streams.playing(stream) {
            Some(stream) => self.events.push_back(event(stream)),
            None => self.link.ignore(),
        }
    }

    /// Wanting media again is answered, wanting none is not (RTMP 1.0, 7.2.2.4 and 7.2.2.5).
    fn receive_media(&mut self, stream: u32, set: impl FnOnce(&mut bool, &mut bool), on: bool) {
        let Some(id) = self.streams.playing(stream) else { return self.link.ignore() };
        let Some(Role::Play { audio, video, .. }) = self.streams.role(id) else { return };
        set(audio, video);
        let event = ServerEvent::Receive { stream: id, audio: *audio, video: *video };
        if on {
            self.notify(id, &Status::new(code::SEEK_NOTIFY, "Receiving again."));
            self.notify(id, &Status::new(code::PLAY_START, "Receiving again."));
        }
        self.events.push_back(event);
    }

    fn fc_unpublish(&mut self, name: &Secret, transaction: f64) {
        let stream = self.streams.named(name);
        self.result(transaction);
        if let Some(stream) = stream {
            self.notify(stream, &Status::new(code::UNPUBLISH_SUCCESS, "Stream is now unpublished."));
            self.end(stream);
        }
    }

    /// The id may be missing or wrong: then the stream that the command came on is meant, or the only one.
    fn delete_stream(&mut self, id: Option<u32>, stream: u32) {
        let known = |id: &u32| self.streams.get(*id).is_some();
        let ids = self.streams.ids();
        let only = if let [only] = ids[..] { Some(only) } else { None };
        let id = id.filter(known).or_else(|| Some(stream).filter(known)).or(only);
        if let Some(id) = id {
            self.end(id);
            self.streams.remove(id);
        }
    }

    fn close(&mut self) {
        self.end_all();
        self.events.push_back(ServerEvent::Close);
        self.closing = true;
    }

    pub(super) fn end_all(&mut self) {
        self.streams.ids().into_iter().for_each(|id| self.end(id));
    }

    /// Takes a stream's role from it, and says so. A connection without any role has to find one in time.
    pub(super) fn end(&mut self, stream: u32) {
        let Some(role) = self.streams.role(stream) else { return };
        match std::mem::replace(role, Role::Idle) {
            Role::Idle => return,
            Role::Publish { .. } => self.events.push_back(ServerEvent::Unpublish { stream }),
            Role::Play { .. } => self.events.push_back(ServerEvent::Stop { stream }),
        }
        self.wait_for_role();
    }

    pub(super) fn wait_for_role(&mut self) {
        if self.streams.all_idle() {
            self.waiting = Some((Phase::Stream, self.now + self.settings.request_timeout));
        }
    }

    fn call_of_client(&mut self, stream: u32, invoke: Invoke) {
        let request = invoke.wants_answer().then_some(Request { transaction: invoke.transaction, stream });
        self.events.push_back(ServerEvent::Call { request, stream, invoke });
    }

    /// An empty `_result`, if one is waited for.
    fn result(&mut self, transaction: f64) {
        if transaction != 0.0 {
            self.respond(0, Response::result(transaction, Value::Null, vec![]));
        }
    }

    /// `_result`, and the callback that Flash Media Live Encoder and its like know.
    fn announce(&mut self, name: &str, code: &str, transaction: f64) {
        self.result(transaction);
        let status = Status::new(code, "").to_value();
        self.link.command(0, &Invoke::new(name, 0.0, Value::Null, vec![status]));
    }
}
