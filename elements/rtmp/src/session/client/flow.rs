//! How a client gets to its purpose: what it asks, and what it makes of the answers.

use millstream_amf::Value;

use super::{Asked, ClientEvent, ClientSession, Purpose, Role};
use crate::auth::{self, AuthError};
use crate::command::{Command, Connect, ConnectResult, Invoke, Play, Publish, Response, Status};
use crate::session::{Phase, SessionError};

/// `audioCodecs` and `videoCodecs` of a program that takes any: `SUPPORT_SND_ALL` and `SUPPORT_VID_ALL`.
const ALL_CODECS: (f64, f64) = (4095.0, 255.0);
/// Flash's number, which players send.
const CAPABILITIES: f64 = 15.0;

/// Questions that may be open. Servers leave some unanswered for good; each takes a few bytes.
const MAX_ASKED: usize = 256;

impl ClientSession {
    /// The handshake is done.
    pub(super) fn connect(&mut self) {
        let settings = &self.settings;
        let publishes = matches!(settings.purpose, Purpose::Publish(_));
        let plays = !publishes;
        let connect = Connect {
            app: settings.authenticated(&settings.url.app),
            kind: publishes.then(|| "nonprivate".into()),
            flash_ver: Some(settings.flash_ver.clone()),
            swf_url: settings.swf_url.clone(),
            tc_url: Some(settings.authenticated(&settings.url.tc_url())),
            fpad: plays.then_some(false),
            capabilities: plays.then_some(CAPABILITIES),
            audio_codecs: plays.then_some(ALL_CODECS.0),
            video_codecs: plays.then_some(ALL_CODECS.1),
            video_function: plays.then_some(1.0),
            page_url: settings.page_url.clone(),
            enhanced: settings.enhanced.clone(),
            ..Connect::default()
        };
        let chunk_size = settings.chunk_size;
        self.ask(0, &Command::Connect(Box::new(connect)), Asked::Connect);
        if publishes {
            self.link.set_chunk_size(chunk_size);
        }
        self.wait(Phase::Connect);
    }

    /// Sends a command that is answered, and remembers what for.
    pub(super) fn ask(&mut self, stream: u32, command: &Command, asked: Asked) {
        let transaction = self.next_transaction(asked);
        self.link.command(stream, &command.to_invoke(f64::from(transaction)));
    }

    /// An id whose answer is waited for. What was never answered is forgotten in the end.
    pub(super) fn next_transaction(&mut self, asked: Asked) -> u32 {
        self.last_transaction = self.last_transaction.wrapping_add(1).max(1);
        if self.asked.len() >= MAX_ASKED {
            self.asked.remove(0);
        }
        self.asked.push((self.last_transaction, asked));
        self.last_transaction
    }

    pub(super) fn wait(&mut self, phase: Phase) {
        self.waiting = Some((phase, self.now + self.settings.answer_timeout));
    }

    pub(super) fn answered(&mut self, response: Response) -> Result<(), SessionError> {
        let place = self.asked.iter().position(|(transaction, _)| f64::from(*transaction) == response.transaction);
        let Some((_, asked)) = place.map(|place| self.asked.remove(place)) else {
            self.link.ignore();
            return Ok(());
        };
        match (asked, response.success) {
            (Asked::Connect, true) => self.accepted(&response),
            (Asked::Connect, false) => return self.rejected(response.status()),
            (Asked::CreateStream, true) => self.stream_created(response.value().as_f64()),
            (Asked::CreateStream | Asked::Needed, false) => {
                return Err(SessionError::Refused(Box::new(response.status())));
            }
            (Asked::Call, _) => self.events.push_back(ClientEvent::Answer(response)),
            (Asked::Needed, true) | (Asked::Optional, _) => {}
        }
        Ok(())
    }

    fn accepted(&mut self, response: &Response) {
        let result = ConnectResult::from_response(response);
        self.connected = true;
        self.waiting = None;
        self.server = result.enhanced.clone();
        if !self.link.has_announced_window() {
            self.link.announce_window(self.settings.window);
        }
        let name = || self.settings.url.stream.clone();
        let announced = match self.settings.purpose {
            Purpose::Connect => vec![],
            Purpose::Publish(_) => vec![Command::ReleaseStream(name()), Command::FcPublish(name())],
            Purpose::Play { .. } if self.settings.subscribe => vec![Command::FcSubscribe(name())],
            Purpose::Play { .. } => vec![],
        };
        for command in announced {
            self.ask(0, &command, Asked::Optional);
        }
        if self.settings.purpose != Purpose::Connect {
            self.create_stream();
        }
        self.events.push_back(ClientEvent::Connected(Box::new(result)));
    }

    /// A refusal may ask for authentication, or lead elsewhere.
    pub(super) fn rejected(&mut self, status: Status) -> Result<(), SessionError> {
        if let Some(target) = status.get("ex").filter(|ex| ex.get("code").and_then(Value::as_f64) == Some(302.0))
            && let Some(url) = target.get("redirect").and_then(Value::as_str)
        {
            let next = self.settings.redirected(url)?;
            return self.try_again(next);
        }
        let nonce = self.random.next() as u32;
        match auth::next_query(&status.description, &self.settings.url, self.settings.attempt.answered, nonce) {
            Ok((query, answered)) => {
                // A server that asks for the first step twice would go on for ever.
                if self.settings.attempt.query.is_some() && !answered {
                    return Err(SessionError::Authentication("the server asks again and again"));
                }
                let attempt = self.settings.attempt.authenticated(query, answered);
                self.try_again(super::ClientSettings { attempt, ..self.settings.clone() })
            }
            Err(AuthError::Failed(why)) => Err(SessionError::Authentication(why)),
            Err(AuthError::NotAuth) => Err(SessionError::Refused(Box::new(status))),
        }
    }

    fn try_again(&mut self, settings: super::ClientSettings) -> Result<(), SessionError> {
        self.events.push_back(ClientEvent::TryAgain(Box::new(settings)));
        self.closing = true;
        self.waiting = None;
        Ok(())
    }

    fn stream_created(&mut self, id: Option<f64>) {
        // `as` saturates; a server that names no stream means the first.
        let stream = id.map_or(1, |id| id as u32);
        self.streams.retain(|(own, _)| *own != stream);
        self.streams.push((stream, Role::Idle));
        self.waiting = None;
        self.events.push_back(ClientEvent::StreamCreated { stream });
        let name = self.settings.url.stream.clone();
        match self.settings.purpose {
            Purpose::Connect => {}
            Purpose::Publish(kind) => self.publish(stream, Publish { name, kind, extra: Vec::new() }),
            Purpose::Play { start, duration } => {
                self.set_buffer_length(stream, self.settings.buffer);
                self.play(stream, Play { start, duration, ..Play::new(name) });
            }
        }
    }

    /// Procedures that servers call.
    pub(super) fn called(&mut self, invoke: Invoke) {
        match &*invoke.name {
            // A bandwidth check of Flash Media Server, which only waits for any answer.
            "_onbwcheck" if invoke.wants_answer() => self.answer_call(invoke.transaction, Ok(0.0.into())),
            "onBWDone" | "_onbwdone" | "onFCPublish" | "onFCUnpublish" | "onFCSubscribe" => {}
            // What an edge server says when a stream is over.
            "onFCUnsubscribe" => self.ended(0),
            _ => self.events.push_back(ClientEvent::Call(invoke)),
        }
    }
}
