//! What a server says of streams and of the connection.

use millstream_amf::Value;
use millstream_flv::wire::{TagKind, parse_script};

use super::{ClientEvent, ClientSession, Role};
use crate::command::{Command, Level, Status, code};
use crate::message::{Data, DataFrame, UserControl};
use crate::session::SessionError;

impl ClientSession {
    pub(super) fn command(&mut self, stream: u32, command: Command, transaction: f64) -> Result<(), SessionError> {
        match command {
            Command::Response(response) => return self.answered(response),
            Command::OnStatus(status) => return self.status(stream, status),
            Command::Close => return Err(SessionError::Closed),
            Command::Call(invoke) => self.called(invoke),
            // A server that uses the names of this protocol for procedures of its own.
            other => self.called(other.to_invoke(transaction)),
        }
        Ok(())
    }

    fn status(&mut self, stream: u32, status: Status) -> Result<(), SessionError> {
        match &*status.code {
            code::CONNECT_RECONNECT_REQUEST => self.move_asked(&status),
            code::CONNECT_REJECTED if !self.connected => return self.rejected(status),
            code::PUBLISH_START | code::PLAY_START => self.stream_starts(stream),
            code::PLAY_STOP | code::PLAY_COMPLETE | code::PLAY_UNPUBLISH_NOTIFY => {
                self.ended(stream);
                self.events.push_back(ClientEvent::Status { stream, status });
            }
            // Of what was begun, some errors can be lived with.
            _ if status.level == Level::Error && !self.has_started() => {
                return Err(SessionError::Refused(Box::new(status)));
            }
            code::PUBLISH_BAD_NAME | code::PUBLISH_DENIED | code::CONNECT_CLOSED => {
                return Err(SessionError::Refused(Box::new(status)));
            }
            _ => self.events.push_back(ClientEvent::Status { stream, status }),
        }
        Ok(())
    }

    fn has_started(&self) -> bool {
        let started = |role: &Role| matches!(role, Role::Publish { started: true } | Role::Play { started: true });
        self.streams.iter().any(|(_, role)| started(role))
    }

    /// Servers say it on stream 0 too; then the stream that waits for it is meant.
    fn stream_starts(&mut self, stream: u32) {
        let waits = |role: &Role| matches!(role, Role::Publish { started: false } | Role::Play { started: false });
        let exact = self.streams.iter().find(|(id, role)| *id == stream && waits(role));
        let waiting = exact.or_else(|| self.streams.iter().find(|(_, role)| waits(role)));
        if let Some(id) = waiting.map(|(id, _)| *id) {
            self.started(id);
        }
    }

    /// The stream that plays on `stream`, or the one that plays at all, plays no longer.
    pub(super) fn ended(&mut self, stream: u32) {
        let plays = |(_, role): &&mut (u32, Role)| *role == Role::Play { started: true };
        let place = self.streams.iter().position(|(id, role)| *id == stream && *role == Role::Play { started: true });
        let found = match place {
            Some(place) => self.streams.get_mut(place),
            None => self.streams.iter_mut().find(plays),
        };
        if let Some((id, role)) = found {
            *role = Role::Play { started: false };
            self.events.push_back(ClientEvent::Ended { stream: *id });
        }
    }

    fn move_asked(&mut self, status: &Status) {
        let target = status.get("tcUrl").and_then(Value::as_str).unwrap_or_default();
        // A target that is no URL leaves where it is what the client has.
        let settings = self.settings.elsewhere(target).unwrap_or_else(|_| self.settings.clone());
        self.events.push_back(ClientEvent::Reconnect(Box::new(settings)));
    }

    pub(super) fn user_control(&mut self, event: UserControl) {
        self.events.push_back(ClientEvent::UserControl(event));
        if let UserControl::StreamEof(stream) = event {
            self.ended(stream);
        }
    }

    pub(super) fn data(&mut self, stream: u32, timestamp: u32, data: DataFrame) {
        let complete = matches!(&data, DataFrame::Pass(data) if is_complete(data));
        if complete {
            self.events.push_back(ClientEvent::Data { stream, timestamp, data });
            return self.ended(stream);
        }
        // Data ahead of everything else, such as |RtmpSampleAccess, does not mean that it plays.
        let plays = |(_, role): &&(u32, Role)| matches!(role, Role::Play { .. });
        let exact = self.streams.iter().filter(plays).find(|(id, _)| *id == stream);
        match exact.or_else(|| self.streams.iter().find(plays)).map(|(id, _)| *id) {
            Some(stream) => self.events.push_back(ClientEvent::Data { stream, timestamp, data }),
            None => self.link.ignore(),
        }
    }
}

/// `onPlayStatus` of a recording that was played to its end.
fn is_complete(data: &Data) -> bool {
    data.name == "onPlayStatus"
        && parse_script(TagKind::Script, &data.body).is_ok_and(|tag| {
            let code = |value: &Value| value.get("code").and_then(Value::as_str) == Some(code::PLAY_COMPLETE);
            tag.values.iter().any(code)
        })
}
