//! A board with clients by name, and everything that they hear.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::collections::BTreeMap;

use millstream_core::{Time, TimeDelta};
use millstream_signaling::board::{Board, BoardSettings, ConnId, Moment, Output};
use millstream_signaling::identity::{Role, Who};
use serde_json::{Value, json};

/// 2024-01-01T00:00:00Z.
pub const WALL_START: i64 = 1_704_067_200;

pub struct Client {
    pub conn: Option<ConnId>,
    pub id: String,
    pub resume: String,
    pub last: u64,
    pub state: String,
    /// Everything that it has heard.
    pub heard: Vec<Value>,
    pub closed: Option<String>,
}

pub struct World {
    pub board: Board,
    pub settings: BoardSettings,
    pub now: Time,
    pub clients: BTreeMap<String, Client>,
    /// `NAME type` in the order in which it was said.
    pub order: Vec<String>,
    pub who: BTreeMap<String, Who>,
    pub gone: Vec<String>,
    conns: u64,
    runs: u8,
}

impl Default for World {
    fn default() -> Self {
        Self::new(BoardSettings::default())
    }
}

impl World {
    pub fn new(settings: BoardSettings) -> Self {
        Self {
            board: Board::new(settings.clone(), b"secret", [1; 32]),
            settings,
            now: Time::ZERO,
            clients: BTreeMap::new(),
            order: Vec::new(),
            who: BTreeMap::new(),
            gone: Vec::new(),
            conns: 0,
            runs: 1,
        }
    }

    pub fn at(&self) -> Moment {
        Moment { now: self.now, wall: Time::from_millis(WALL_START * 1000) + (self.now - Time::ZERO) }
    }

    pub fn unix(&self) -> i64 {
        self.at().unix()
    }

    /// The same names in a room, each with a connection.
    pub fn room(names: &[&str]) -> Self {
        let mut world = Self::default();
        for name in names {
            world.come(name);
            world.say(name, json!({ "type": "join", "room": "r" }));
        }
        world.forget();
        world
    }

    /// Lets the order and what was heard begin anew.
    pub fn forget(&mut self) {
        self.order.clear();
        self.clients.values_mut().for_each(|client| client.heard.clear());
    }

    pub fn role(&mut self, name: &str, role: Role) {
        self.who.insert(name.into(), Who { identity: name.into(), role, ..Who::default() });
    }

    /// Comes with this name as identity.
    pub fn come(&mut self, name: &str) {
        self.connect(name, json!({ "type": "hello", "version": 1, "identity": name }));
    }

    pub fn connect(&mut self, name: &str, hello: Value) {
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.board.connect(self.at(), conn);
        let client = self.clients.entry(name.into()).or_insert_with(|| Client {
            conn: None,
            id: String::new(),
            resume: String::new(),
            last: 0,
            state: String::new(),
            heard: Vec::new(),
            closed: None,
        });
        (client.conn, client.closed) = (Some(conn), None);
        self.board.hear_text(self.at(), conn, &hello.to_string());
        self.drain();
    }

    /// Comes back with its resume token.
    pub fn resume(&mut self, name: &str) {
        let client = &self.clients[name];
        let hello = json!({ "type": "hello", "version": 1, "resume": client.resume, "last": client.last });
        self.connect(name, hello);
    }

    pub fn lose(&mut self, name: &str) {
        if let Some(conn) = self.clients.get_mut(name).and_then(|client| client.conn.take()) {
            self.board.lost(self.at(), conn);
        }
        self.drain();
    }

    /// Says something, where `"@NAME"` stands for an address.
    pub fn say(&mut self, name: &str, message: Value) {
        let mut text = message.to_string();
        for (name, client) in &self.clients {
            text = text.replace(&format!("\"@{name}\""), &format!("\"{}\"", client.id));
        }
        let Some(conn) = self.clients[name].conn else { return };
        self.board.hear_text(self.at(), conn, &text);
        self.drain();
    }

    pub fn pass(&mut self, time: TimeDelta) {
        let until = self.now + time;
        while let Some(due) = self.board.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.board.advance(self.at());
            self.drain();
        }
        self.now = until;
        self.board.advance(self.at());
        self.drain();
    }

    /// The server is started anew: connections are lost.
    pub fn restart(&mut self) {
        self.board.end();
        self.drain();
        self.runs += 1;
        self.clients.values_mut().for_each(|client| client.conn = None);
        self.board = Board::new(self.settings.clone(), b"secret", [self.runs; 32]);
    }

    fn drain(&mut self) {
        while let Some(output) = self.board.poll_output() {
            match output {
                Output::Send(conn, envelope) => self.hear(conn, serde_json::from_str(&envelope.to_json()).unwrap()),
                Output::Close(conn, reason) => {
                    let closed = self.clients.values_mut().find(|client| client.conn == Some(conn));
                    if let Some(client) = closed {
                        (client.conn, client.closed) = (None, Some(reason.as_str().into()));
                    }
                }
                Output::Authenticate { conn, identity, token, .. } => {
                    let identity = token.map_or(identity, |token| Some(token.reveal().to_owned())).unwrap_or_default();
                    let plain = Who { identity: identity.clone(), ..Who::default() };
                    let who = self.who.get(&identity).cloned().unwrap_or(plain);
                    self.board.admitted(self.at(), conn, Ok(who));
                }
                Output::Gone(id) => self.gone.push(self.name_of(&id)),
            }
        }
    }

    fn hear(&mut self, conn: ConnId, message: Value) {
        let of_conn = self.clients.iter_mut().find(|(_, client)| client.conn == Some(conn));
        let (name, client) = of_conn.unwrap_or_else(|| panic!("nobody is at {conn:?} to hear {message}"));
        let kind = message["type"].as_str().unwrap().to_owned();
        if kind == "welcome" {
            client.id = message["id"].as_str().unwrap().into();
            client.resume = message["resume"].as_str().unwrap().into();
            client.state = message["state"].as_str().unwrap().into();
            if client.state != "resumed" {
                client.last = 0;
            }
        }
        if let Some(seq) = message["seq"].as_u64() {
            assert_eq!(seq, client.last + 1, "{name} missed something before {message}");
            client.last = seq;
        }
        self.order.push(format!("{name} {kind}"));
        client.heard.push(message);
    }

    pub fn name_of(&self, id: &str) -> String {
        self.clients.iter().find(|(_, client)| client.id == id).map_or(id.to_owned(), |(name, _)| name.clone())
    }

    /// The last thing of a kind that somebody heard.
    pub fn last(&self, name: &str, kind: &str) -> Value {
        let heard = &self.clients[name].heard;
        let found = heard.iter().rev().find(|message| message["type"] == kind);
        found.unwrap_or_else(|| panic!("{name} heard no {kind} but {heard:#?}")).clone()
    }

    /// The code of the last error of somebody.
    pub fn error(&self, name: &str) -> String {
        self.last(name, "error")["code"].as_str().unwrap().into()
    }

    /// The session in the last message of a kind.
    pub fn session(&self, name: &str, kind: &str) -> String {
        self.last(name, kind)["session"].as_str().unwrap().into()
    }

    #[track_caller]
    pub fn assert_order(&mut self, order: &[&str]) {
        assert_eq!(self.order, order);
        self.order.clear();
    }
}
