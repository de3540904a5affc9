//! Message streams of a connection.

use crate::Secret;

/// What a message stream is used for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Role {
    /// Nothing.
    Idle,
    /// The client publishes under this name, accepted or not yet.
    Publish { name: Secret, transaction: f64, accepted: bool },
    /// The client plays, or waits for what it asked for. When it has got all of it, it may still seek.
    Play { reset: bool, transaction: f64, started: bool, audio: bool, video: bool, over: bool },
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) role: Role,
}

/// All of them; few, so that a list will do.
#[derive(Debug, Default)]
pub(super) struct Streams(Vec<Stream>);

impl Streams {
    /// A new one, none beyond `max`. Ids are 1, 3, 4, 5 …: 0 is the connection, and ffmpeg's server takes 2 for reserved too.
    pub(super) fn create(&mut self, max: usize) -> Option<u32> {
        if self.0.len() >= max {
            return None;
        }
        let id = (1..).find(|id| *id != 2 && self.get(*id).is_none())?;
        self.0.push(Stream { id, role: Role::Idle });
        Some(id)
    }

    pub(super) fn get(&self, id: u32) -> Option<&Stream> {
        self.0.iter().find(|stream| stream.id == id)
    }

    /// The role of a stream. Clients that skip `createStream` get theirs here, up to `max`.
    pub(super) fn role_or_new(&mut self, id: u32, max: usize) -> Option<&mut Role> {
        let place = match self.0.iter().position(|stream| stream.id == id) {
            Some(place) => place,
            None if self.0.len() < max => {
                self.0.push(Stream { id, role: Role::Idle });
                self.0.len() - 1
            }
            None => return None,
        };
        self.0.get_mut(place).map(|stream| &mut stream.role)
    }

    pub(super) fn role(&mut self, id: u32) -> Option<&mut Role> {
        self.0.iter_mut().find(|stream| stream.id == id).map(|stream| &mut stream.role)
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.0.retain(|stream| stream.id != id);
    }

    pub(super) fn ids(&self) -> Vec<u32> {
        self.0.iter().map(|stream| stream.id).collect()
    }

    /// Whether none publishes or plays, or has anything left to play.
    pub(super) fn all_idle(&self) -> bool {
        self.0.iter().all(|stream| matches!(stream.role, Role::Idle | Role::Play { over: true, .. }))
    }

    /// The publishing stream that a message on stream `id` belongs to: that one, or else the only one there is, as some encoders
    /// send on stream 0 or one that they made up.
    pub(super) fn publishing(&self, id: u32) -> Option<u32> {
        self.only(id, |role| matches!(role, Role::Publish { .. }))
    }

    /// The playing stream that a command on stream `id` belongs to, by the same rule.
    pub(super) fn playing(&self, id: u32) -> Option<u32> {
        self.only(id, |role| matches!(role, Role::Play { .. }))
    }

    /// The stream that publishes under `name`, or else the only one that publishes.
    pub(super) fn named(&self, name: &Secret) -> Option<u32> {
        let is_named = |stream: &&Stream| matches!(&stream.role, Role::Publish { name: own, .. } if own == name);
        self.0.iter().find(is_named).map(|stream| stream.id).or_else(|| self.publishing(0))
    }

    fn only(&self, id: u32, fits: fn(&Role) -> bool) -> Option<u32> {
        // What comes on an idle stream, which was refused or has ended, belongs to no other.
        if let Some(stream) = self.get(id) {
            return fits(&stream.role).then_some(id);
        }
        let mut fitting = self.0.iter().filter(|stream| fits(&stream.role)).map(|stream| stream.id);
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m4_ids_are_not_0_or_2_and_are_used_again() {
        let mut streams = Streams::default();
        let ids: Vec<_> = (0..4).map_while(|_| streams.create(3)).collect();
        assert_eq!(ids, [1, 3, 4]);
        streams.remove(3);
        assert_eq!(streams.create(3), Some(3));
    }

    #[test]
    fn a_message_on_stream_0_belongs_to_the_only_publisher() {
        let mut streams = Streams::default();
        let publish = || Role::Publish { name: "a".into(), transaction: 0.0, accepted: true };
        for id in [1, 3] {
            assert_eq!(streams.publishing(0), (id == 3).then_some(1));
            streams.create(9);
            *streams.role(id).unwrap() = publish();
        }
        assert_eq!((streams.publishing(0), streams.publishing(3)), (None, Some(3)));
    }
}
