//! Who is there, in which rooms, and which sessions they have: the protocol without sockets, clock and tasks.
//!
//! Connections, messages and time go in; messages to connections and the next deadline come out.
//!
//! | module | what |
//! | --- | --- |
//! | `settings` | limits |
//! | `peer` | one peer, and what was said to it |
//! | `entry` | hello, resume, renewal, and all ways to go |
//! | `rooms` | join, leave, list, kick, mute, policy |
//! | `sessions` | how sessions begin and end: pull, call, reopen |
//! | `negotiate` | offers, answers and candidates of open sessions |
//! | `workers` | publish, play, loopback |
//! | `pace` | how many messages a connection may send |

mod entry;
mod negotiate;
mod pace;
mod peer;
mod rooms;
mod sessions;
mod settings;
mod workers;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use millstream_core::{Secret, Time};

use self::pace::Bucket;
use self::peer::Peer;
use self::rooms::Room;
use self::sessions::{Ended, Session};
pub use self::settings::{BoardSettings, Duplicates, RelayInfo};
use crate::message::{
    ClientMessage, ClosedReason, Code, Envelope, HelloFields, Incoming, Refusal, ServerMessage, parse,
};
use crate::token::mac;

/// Messages in a row that were too fast before the connection is closed.
const MAX_TOO_FAST: u32 = 100;

/// A connection, numbered by whoever owns it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

/// When something happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// By the clock of the runtime.
    pub now: Time,
    /// Since 1970.
    pub wall: Time,
}

impl Moment {
    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        self.wall.nanos() / 1_000_000_000
    }
}

/// What the board wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Send this.
    Send(ConnId, Arc<Envelope>),
    /// Send what is under way, then close. Nothing follows for this connection.
    Close(ConnId, ClosedReason),
    /// Find out whether a token proves an identity, then call [`Board::admitted`].
    Authenticate {
        /// Who asks.
        conn: ConnId,
        /// Who it says it is.
        identity: Option<String>,
        /// What is to prove it.
        token: Option<Secret>,
        /// It is a peer already, and shows a newer token.
        is_here: bool,
    },
    /// A peer that [`Board::admitted`] let in is gone for good.
    Gone(Arc<str>),
}

/// Where a connection stands.
#[derive(Debug)]
enum Stage {
    /// It has not said hello.
    New,
    /// It has, and its identity is being looked at.
    Asking(HelloFields),
    /// It is a peer's.
    In(Arc<str>),
    /// A token of a peer is being looked at again.
    Renewing(Arc<str>, Option<String>),
}

#[derive(Debug)]
struct Conn {
    stage: Stage,
    bucket: Bucket,
    too_fast: u32,
}

/// What a deadline is for. Whether it still holds is looked at when it comes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    Hello(ConnId),
    Away(Arc<str>),
    Expiry(Arc<str>),
    Session(Arc<str>),
}

/// All of it.
#[derive(Debug)]
pub struct Board {
    settings: BoardSettings,
    /// Signs resume tokens.
    resume_key: [u8; 32],
    /// Makes identifiers that nobody can guess.
    id_key: [u8; 32],
    ids: u64,
    conns: HashMap<ConnId, Conn>,
    peers: BTreeMap<Arc<str>, Peer>,
    rooms: BTreeMap<String, Room>,
    sessions: BTreeMap<Arc<str>, Session>,
    ended: Ended,
    timers: BTreeSet<(Time, Timer)>,
    /// Peers whose resume tokens hold no more, and until when they would.
    revoked: VecDeque<(Arc<str>, i64)>,
    outputs: VecDeque<Output>,
}

/// The result of a request.
type Done = Result<(), Refusal>;

impl Board {
    /// A board without anybody. `secret` signs resume tokens, and makes a server that is started anew trust those of the one before; `fresh`
    /// is new for each.
    pub fn new(settings: BoardSettings, secret: &[u8], fresh: [u8; 32]) -> Self {
        Self {
            settings,
            resume_key: mac(secret, &[b"resume"]),
            id_key: mac(&fresh, &[b"ids"]),
            ids: 0,
            conns: HashMap::new(),
            peers: BTreeMap::new(),
            rooms: BTreeMap::new(),
            sessions: BTreeMap::new(),
            ended: Ended::default(),
            timers: BTreeSet::new(),
            revoked: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A connection is there.
    pub fn connect(&mut self, at: Moment, conn: ConnId) {
        self.conns.insert(conn, Conn { stage: Stage::New, bucket: Bucket::new(at.now), too_fast: 0 });
        self.timers.insert((at.now + self.settings.hello_time, Timer::Hello(conn)));
    }

    /// A connection has said something.
    pub fn hear_text(&mut self, at: Moment, conn: ConnId, text: &str) {
        match parse(text) {
            Ok(incoming) => self.hear(at, conn, incoming),
            Err((reference, refusal)) => {
                if self.may_speak(at, conn) {
                    self.refuse(conn, reference, refusal);
                }
            }
        }
    }

    /// A connection has sent bytes, which mean nothing.
    pub fn hear_bytes(&mut self, at: Moment, conn: ConnId) {
        if self.may_speak(at, conn) {
            self.refuse(conn, None, Refusal::new(Code::NotText, "messages are text"));
        }
    }

    /// The same for a message that has been read.
    pub fn hear(&mut self, at: Moment, conn: ConnId, incoming: Incoming) {
        if !self.may_speak(at, conn) {
            return;
        }
        let Some(stage) = self.conns.get(&conn).map(|conn| &conn.stage) else { return };
        let Incoming { seq, reference, message } = incoming;
        let done = match (stage, message) {
            (Stage::New, ClientMessage::Hello(hello)) => self.hello(at, conn, reference.clone(), hello),
            (Stage::New | Stage::Asking(_), ClientMessage::Ping {}) => {
                self.answer(conn, reference.clone(), ServerMessage::Pong {});
                Ok(())
            }
            (Stage::New, _) => Err(Refusal::new(Code::HelloFirst, "the first message is `hello`")),
            (_, ClientMessage::Hello(_)) => Err(Refusal::new(Code::HelloAgain, "this connection has said `hello`")),
            (Stage::Asking(_), _) => Err(Refusal::new(Code::HelloFirst, "wait for `welcome`")),
            (Stage::In(peer) | Stage::Renewing(peer, _), message) => {
                let peer = peer.clone();
                match self.peers.get_mut(&peer).is_none_or(|peer| peer.heard_before(seq)) {
                    true => Ok(()),
                    false => self.request(at, conn, &peer, reference.clone(), message),
                }
            }
        };
        if let Err(refusal) = done {
            self.refuse(conn, reference, refusal);
        }
    }

    fn request(
        &mut self,
        at: Moment,
        conn: ConnId,
        peer: &Arc<str>,
        reference: Option<String>,
        message: ClientMessage,
    ) -> Done {
        use ClientMessage as M;
        match message {
            // Taken care of before.
            M::Hello(_) => Ok(()),
            M::Renew { token } => self.renew(conn, peer, reference, token),
            M::Ping {} => {
                self.tell_with(peer, reference, ServerMessage::Pong {});
                Ok(())
            }
            M::Bye {} => {
                self.bye(at, peer);
                Ok(())
            }
            M::Join { room } => self.join(peer, reference, &room),
            M::Leave { room } => self.leave(peer, reference, &room),
            M::List { room } => self.list(peer, reference, room.as_deref()),
            M::Kick { room, peer: whom } => self.kick(peer, &room, &whom),
            M::Mute { room, peer: whom, kind, muted } => self.mute(peer, &room, whom.as_deref(), kind, muted),
            M::Policy { room, video, audio } => self.policy(peer, &room, video, audio),
            M::Invite { to, media } => self.invite(at, peer, reference, &to, media.unwrap_or_default()),
            M::Ringing { session } => self.ringing(peer, &session),
            M::Accept { session } => self.accept(peer, reference, &session),
            M::Reject { session, reason } => self.reject(peer, &session, reason),
            M::Cancel { session } => self.cancel(peer, &session),
            M::Hangup { session } => self.hang_up(peer, &session),
            M::Offer { session: Some(session), sdp, .. } => self.offer(peer, &session, sdp),
            M::Offer { session: None, to: Some(to), sdp } => self.offer_to(peer, reference, &to, sdp),
            M::Offer { .. } => Err(Refusal::new(Code::BadField, "an offer has `session` or `to`")),
            M::Answer { session, sdp } => self.reply(peer, &session, sdp, false),
            M::Pranswer { session, sdp } => self.reply(peer, &session, sdp, true),
            M::Candidate { session, candidate } => self.candidate(peer, &session, candidate),
            M::Reopen { session, with, polite } => self.reopen(at, peer, &session, &with, polite),
            M::Publish { stream } => self.push(at, peer, workers::Wish::Publish(stream)),
            M::Play { stream } => self.push(at, peer, workers::Wish::Play(stream)),
            M::Loopback {} => self.push(at, peer, workers::Wish::Loopback),
            M::Worker { streams, purposes } => self.work(peer, reference, streams, purposes),
            M::Init { session } => self.init(peer, &session),
            M::Ready { session } => self.ready(peer, &session),
            M::Refuse { session, message } => self.refuse_session(peer, &session, message),
        }
    }

    /// A connection is gone. Its peer is away.
    pub fn lost(&mut self, at: Moment, conn: ConnId) {
        if let Some(Stage::In(peer) | Stage::Renewing(peer, _)) = self.conns.remove(&conn).map(|conn| conn.stage) {
            self.away(at, &peer, conn);
        }
    }

    /// A connection takes less than it is sent. It is closed, and its peer is away.
    pub fn too_slow(&mut self, at: Moment, conn: ConnId) {
        // It has been closed already, and takes that no better.
        if !self.conns.contains_key(&conn) {
            return;
        }
        self.close(conn, ClosedReason::TooSlow, "the connection takes less than it is sent");
        self.lost(at, conn);
    }

    /// Does what is due.
    pub fn advance(&mut self, at: Moment) {
        while self.timers.first().is_some_and(|(due, _)| *due <= at.now) {
            let Some((due, timer)) = self.timers.pop_first() else { return };
            match timer {
                Timer::Hello(conn) => self.hello_is_due(conn),
                Timer::Away(peer) => self.away_is_over(at, due, &peer),
                Timer::Expiry(peer) => self.expiry(at, &peer),
                Timer::Session(session) => self.session_is_due(due, &session),
            }
        }
    }

    /// When [`Board::advance`] is to be called next.
    pub fn deadline(&self) -> Option<Time> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Says good-bye to everybody: the server ends, and they may resume elsewhere.
    pub fn end(&mut self) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        conns.into_iter().for_each(|conn| self.close(conn, ClosedReason::ServerEnds, "the server ends"));
        self.conns.clear();
    }

    /// How many peers, rooms and sessions there are.
    pub fn counts(&self) -> [usize; 3] {
        [self.peers.len(), self.rooms.len(), self.sessions.len()]
    }

    /// A new identifier: 128 bits in hexadecimal.
    fn new_id(&mut self) -> Arc<str> {
        self.ids += 1;
        let bytes = mac(&self.id_key, &[&self.ids.to_be_bytes()]);
        bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }

    /// Whether a connection may say something more now.
    fn may_speak(&mut self, at: Moment, conn: ConnId) -> bool {
        let Some(there) = self.conns.get_mut(&conn) else { return false };
        // A worker has proved that it is one, and has as much to say as all those whom it serves.
        let works = |peer: &Arc<str>| self.peers.get(peer).is_some_and(|peer| peer.worker.is_some());
        if matches!(&there.stage, Stage::In(peer) | Stage::Renewing(peer, _) if works(peer)) {
            return true;
        }
        if there.bucket.take(at.now) {
            there.too_fast = 0;
            return true;
        }
        there.too_fast += 1;
        // Told once, not as often as it is done.
        match there.too_fast {
            1 => self.refuse(
                conn,
                None,
                Refusal::new(Code::TooFast, "there are too many messages; this one was left out"),
            ),
            MAX_TOO_FAST.. => self.throw_out(at, conn, ClosedReason::TooFast, "there were too many messages"),
            _ => {}
        }
        false
    }

    /// Ends a connection that breaks the rules. Its peer is away.
    fn throw_out(&mut self, at: Moment, conn: ConnId, reason: ClosedReason, message: &str) {
        self.close(conn, reason, message);
        self.lost(at, conn);
    }

    fn close(&mut self, conn: ConnId, reason: ClosedReason, message: &str) {
        self.answer(conn, None, ServerMessage::Closed { reason, message: message.to_owned() });
        self.outputs.push_back(Output::Close(conn, reason));
    }

    fn refuse(&mut self, conn: ConnId, reference: Option<String>, refusal: Refusal) {
        let Refusal { code, message, hint } = refusal;
        self.answer(conn, reference, ServerMessage::Error { code, message, hint: hint.map(Into::into) });
    }

    /// Says something to a connection: to its peer if it has one, so that it is counted.
    fn answer(&mut self, conn: ConnId, reference: Option<String>, message: ServerMessage) {
        match self.conns.get(&conn).map(|conn| &conn.stage) {
            Some(Stage::In(peer) | Stage::Renewing(peer, _)) => {
                let peer = peer.clone();
                self.tell_with(&peer, reference, message);
            }
            _ => self.outputs.push_back(Output::Send(conn, Arc::new(Envelope { seq: 0, reference, message }))),
        }
    }

    fn tell(&mut self, peer: &str, message: ServerMessage) {
        self.tell_with(peer, None, message);
    }

    /// Says something to a peer; it waits where the peer is away. Nobody hears what is said to one who left.
    fn tell_with(&mut self, peer: &str, reference: Option<String>, message: ServerMessage) {
        let Some(peer) = self.peers.get_mut(peer) else { return };
        let envelope = peer.number(reference, message);
        if let Some(conn) = peer.conn {
            self.outputs.push_back(Output::Send(conn, envelope));
        }
    }
}
