//! A board with its connections: sockets, and those within this process.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::env::TaskHandle;
use millstream_core::{Env, TimeDelta};
use millstream_server::access::Admitted;
use millstream_server::doors::Door as Counter;
use tokio::sync::Notify;

use super::door::{Comer, Door};
use super::outbox::{Item, Outbox};
use crate::board::{Board, ConnId, Moment, Output};
use crate::identity::{Role, Who};
use crate::message::{ClientMessage, Envelope, HelloFields, Incoming, Refusal};

/// How long a server that ends waits for what it has said to be sent.
const FAREWELL: TimeDelta = TimeDelta::from_secs(1);

/// A board that is served.
pub struct Hub {
    env: Env,
    door: Door,
    counter: Arc<Counter>,
    state: Mutex<State>,
    /// The next deadline is another, or a connection has gone.
    changed: Notify,
}

struct State {
    board: Board,
    lines: HashMap<ConnId, Line>,
    /// Who is here, as callbacks know it.
    admitted: HashMap<Arc<str>, Admitted>,
    next: u64,
}

/// A connection.
struct Line {
    outbox: Outbox,
    peer: SocketAddr,
    /// An identity that needs no proof: of one within this process.
    trusted: Option<Who>,
}

/// Somebody whose token is to be looked at.
struct Question {
    conn: ConnId,
    comer: Comer,
    trusted: Option<Who>,
}

impl Hub {
    pub(super) fn new(env: Env, door: Door, counter: Arc<Counter>, board: Board) -> Arc<Self> {
        let state = State { board, lines: HashMap::new(), admitted: HashMap::new(), next: 0 };
        Arc::new(Self { env, door, counter, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Keeps the deadlines, until the handle goes.
    pub(super) fn keep_time(self: &Arc<Self>) -> TaskHandle {
        let hub = self.clone();
        self.env.tasks.spawn(Box::pin(async move {
            loop {
                let deadline = hub.lock().board.deadline();
                let due = async {
                    match deadline {
                        Some(deadline) => hub.env.clock.sleep_until(deadline).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = due => hub.with(|board, at| board.advance(at)),
                    () = hub.changed.notified() => {}
                }
            }
        }))
    }

    /// A connection is there: its number, and what it is sent.
    pub(super) fn connect(self: &Arc<Self>, peer: SocketAddr, trusted: Option<Who>) -> (ConnId, Outbox) {
        let outbox = Outbox::default();
        let conn = {
            let mut state = self.lock();
            state.next += 1;
            let conn = ConnId(state.next);
            state.lines.insert(conn, Line { outbox: outbox.clone(), peer, trusted });
            conn
        };
        self.counter.entered();
        self.with(|board, at| board.connect(at, conn));
        (conn, outbox)
    }

    /// It has gone.
    pub(super) fn lost(self: &Arc<Self>, conn: ConnId) {
        self.lock().lines.remove(&conn);
        self.counter.left();
        self.with(|board, at| board.lost(at, conn));
        self.changed.notify_one();
    }

    /// Does something with the board, and what it wants done then.
    pub(super) fn with(self: &Arc<Self>, act: impl FnOnce(&mut Board, Moment)) {
        let mut questions = Vec::new();
        let mut gone = Vec::new();
        {
            let at = self.at();
            let mut state = self.lock();
            let before = state.board.deadline();
            act(&mut state.board, at);
            while let Some(output) = state.board.poll_output() {
                self.carry_out(&mut state, output, at, &mut questions, &mut gone);
            }
            if state.board.deadline() != before {
                self.changed.notify_one();
            }
        }
        // Their ends are told now, without anybody waiting.
        drop(gone);
        questions.into_iter().for_each(|question| self.ask(question));
    }

    fn carry_out(
        &self,
        state: &mut State,
        output: Output,
        at: Moment,
        questions: &mut Vec<Question>,
        gone: &mut Vec<Admitted>,
    ) {
        match output {
            Output::Send(conn, envelope) => {
                let Some(line) = state.lines.get(&conn) else { return };
                if !line.outbox.push(envelope) {
                    state.board.too_slow(at, conn);
                }
            }
            Output::Close(conn, reason) => {
                let Some(line) = state.lines.get(&conn) else { return };
                self.counter.closed(reason.as_str());
                line.outbox.close(reason);
            }
            Output::Authenticate { conn, identity, token, is_here } => {
                let Some(line) = state.lines.get(&conn) else { return };
                let comer = Comer { peer: line.peer, identity, token, is_here };
                questions.push(Question { conn, comer, trusted: line.trusted.clone() });
            }
            Output::Gone(peer) => gone.extend(state.admitted.remove(&peer)),
        }
    }

    /// Looks at a token, on a task of its own: callbacks take their time.
    fn ask(self: &Arc<Self>, question: Question) {
        let Question { conn, comer, trusted } = question;
        if let Some(who) = trusted {
            return self.admitted(conn, Ok((who, None)));
        }
        let hub = self.clone();
        let asking = async move {
            let answer = hub.door.admit(&hub.env, hub.at(), comer).await;
            hub.admitted(conn, answer);
        };
        self.env.tasks.spawn(Box::pin(asking)).detach();
    }

    fn admitted(self: &Arc<Self>, conn: ConnId, answer: Result<(Who, Option<Admitted>), Refusal>) {
        let (who, admitted) = match answer {
            Ok((who, admitted)) => (Ok(who), admitted),
            Err(refusal) => (Err(refusal), None),
        };
        let mut entered = None;
        self.with(|board, at| entered = board.admitted(at, conn, who));
        if let Some((peer, admitted)) = entered.zip(admitted) {
            self.lock().admitted.insert(peer, admitted);
        }
    }

    fn at(&self) -> Moment {
        Moment { now: self.env.clock.now(), wall: self.env.clock.wall() }
    }

    /// The outside.
    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    /// Says good-bye to everybody and waits until they have heard it, for a while.
    pub(super) async fn end(self: &Arc<Self>) {
        self.with(|board, _| board.end());
        let give_up = self.env.clock.sleep_until(self.env.clock.now() + FAREWELL);
        let all_gone = async {
            while !self.lock().lines.is_empty() {
                self.changed.notified().await;
            }
        };
        tokio::select! {
            () = all_gone => {}
            () = give_up => {}
        }
    }

    /// Becomes a worker within this process: an element that takes or gives media. It says [`ClientMessage::Worker`] next.
    pub fn worker(self: &Arc<Self>, identity: &str) -> LocalPeer {
        let who = Who { identity: identity.to_owned(), role: Role::Worker, ..Who::default() };
        let (conn, outbox) = self.connect((Ipv4Addr::LOCALHOST, 0).into(), Some(who));
        let peer = LocalPeer { hub: self.clone(), conn, outbox };
        let hello = HelloFields { version: 1, identity: Some(identity.to_owned()), ..HelloFields::default() };
        peer.say(ClientMessage::Hello(hello));
        peer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer within this process. Its connection is lost when it goes.
pub struct LocalPeer {
    hub: Arc<Hub>,
    conn: ConnId,
    outbox: Outbox,
}

impl LocalPeer {
    /// Says something.
    pub fn say(&self, message: ClientMessage) {
        self.hub.with(|board, at| board.hear(at, self.conn, Incoming::from(message)));
    }

    /// The next message; nothing when the server has ended the connection.
    pub async fn hear(&self) -> Option<Arc<Envelope>> {
        match poll_fn(|cx| self.outbox.poll_take(cx)).await {
            Some(Item::Message(envelope)) => Some(envelope),
            Some(Item::Close(_)) | None => None,
        }
    }
}

impl Drop for LocalPeer {
    fn drop(&mut self) {
        self.hub.lost(self.conn);
    }
}
