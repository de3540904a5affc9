//! Random people do random things, and everything comes to rest as each of them knows it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::World;
use millstream_core::TimeDelta;
use millstream_signaling::identity::Role;
use serde_json::{Value, json};

const NAMES: [&str; 5] = ["A", "B", "C", "D", "M"];
const ROOMS: [&str; 2] = ["r", "s"];

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// What a client believes, from nothing but what it heard.
#[derive(Default)]
struct View {
    rooms: BTreeMap<String, BTreeMap<String, String>>,
    sessions: BTreeMap<String, String>,
}

impl View {
    fn hear(&mut self, message: &Value) {
        let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
        let (room, session) = (text("room"), text("session"));
        let member = |member: &Value| {
            (member["peer"].as_str().unwrap().to_owned(), member["presence"].as_str().unwrap().to_owned())
        };
        match message["type"].as_str().unwrap() {
            "welcome" if message["state"] != "resumed" => *self = Self::default(),
            "closed" if message["reason"] != "server-ends" && message["reason"] != "too-fast" => {
                *self = Self::default()
            }
            "joined" => {
                let members = message["members"].as_array().unwrap().iter().map(member).collect();
                self.rooms.insert(room, members);
            }
            "left" => drop(self.rooms.remove(&room)),
            "member-joined" | "member-changed" => {
                let (peer, presence) = member(&message["member"]);
                let members = self.rooms.get_mut(&room).unwrap_or_else(|| panic!("not in {room}: {message}"));
                members.insert(peer, presence);
            }
            "member-left" => {
                let members = self.rooms.get_mut(&room).unwrap_or_else(|| panic!("not in {room}: {message}"));
                assert!(members.remove(&text("peer")).is_some(), "it was not there: {message}");
            }
            "inviting" => drop(self.sessions.insert(session, "rings".into())),
            "invite" => drop(self.sessions.insert(session, "rings".into())),
            "accepted" | "opened" => drop(self.sessions.insert(session, "open".into())),
            "offer" => drop(self.sessions.insert(session, "open".into())),
            "ended" => assert!(self.sessions.remove(&session).is_some(), "no such session: {message}"),
            "answer" | "candidate" | "ringing" => {
                assert!(self.sessions.contains_key(&session), "no such session: {message}");
            }
            _ => {}
        }
    }
}

fn step(world: &mut World, random: &mut Random) {
    let name = random.pick(&NAMES);
    let there = world.clients.get(name).is_some_and(|client| client.conn.is_some());
    if !there {
        let known = world.clients.get(name).is_some_and(|client| !client.resume.is_empty());
        return if known && random.below(3) > 0 { world.resume(name) } else { world.come(name) };
    }
    let (room, other) = (random.pick(&ROOMS), format!("@{}", random.pick(&NAMES)));
    let heard = &world.clients[name].heard;
    let sessions: Vec<String> =
        heard.iter().rev().filter_map(|m| m["session"].as_str()).take(6).map(str::to_owned).collect();
    let session = if sessions.is_empty() { "none".to_owned() } else { sessions[random.below(sessions.len())].clone() };
    let of_session = |kind: &str| json!({ "type": kind, "session": session, "sdp": "x" });
    let message = match random.below(30) {
        0..4 => json!({ "type": "join", "room": room }),
        4 => json!({ "type": "leave", "room": room }),
        5..8 => json!({ "type": "invite", "to": other }),
        8 => json!({ "type": "offer", "to": other, "sdp": "x" }),
        9 => of_session("ringing"),
        10..12 => of_session("accept"),
        12 => of_session("reject"),
        13 => of_session("cancel"),
        14 => of_session("hangup"),
        15 => of_session("offer"),
        16 => of_session("answer"),
        17 => json!({ "type": "candidate", "session": session, "candidate": null }),
        18 => json!({ "type": "bye" }),
        19 | 20 => return world.lose(name),
        21 => json!({ "type": "mute", "room": room, "kind": "audio", "muted": random.below(2) == 0 }),
        22 if random.below(3) == 0 => json!({ "type": "kick", "room": room, "peer": other }),
        22..26 => json!({ "type": "invite", "to": other }),
        26..29 => of_session("accept"),
        _ => {
            let seconds = random.pick(&[&1, &1, &5, &40]);
            return world.pass(TimeDelta::from_secs(*seconds));
        }
    };
    world.say(name, message);
}

/// Both ends of everything agree with each other.
fn assert_agree(world: &World, seed: u64) {
    let mut views = BTreeMap::new();
    for (name, client) in world.clients.iter().filter(|(_, client)| client.conn.is_some()) {
        let mut view = View::default();
        client.heard.iter().for_each(|message| view.hear(message));
        views.insert(name, view);
    }
    let [_, rooms, sessions] = world.board.counts();
    let mut seen_rooms = BTreeSet::new();
    let mut seen_sessions = BTreeMap::<&str, Vec<&str>>::new();
    for (name, view) in &views {
        for (room, members) in &view.rooms {
            seen_rooms.insert(room);
            assert!(members.contains_key(&world.clients[*name].id), "seed {seed}: {name} is not in its own {room}");
            for (other, theirs) in &views {
                let mine = members.contains_key(&world.clients[*other].id);
                assert_eq!(mine, theirs.rooms.contains_key(room), "seed {seed}: {name} on {other} in {room}");
                if mine {
                    assert_eq!(members.len(), theirs.rooms[room].len(), "seed {seed}: {room} of {name} and {other}");
                }
            }
        }
        view.sessions.iter().for_each(|(id, state)| seen_sessions.entry(id).or_default().push(state));
    }
    assert_eq!(seen_rooms.len(), rooms, "seed {seed}: rooms that somebody is in");
    assert_eq!(seen_sessions.len(), sessions, "seed {seed}: {seen_sessions:?}");
    for (session, ends) in seen_sessions {
        assert!(ends.len() == 2 && ends[0] == ends[1], "seed {seed}: {session} {ends:?}");
    }
}

#[test]
fn sig_1_random_joins_calls_crashes_and_resumes_come_to_rest() {
    let (seeds, mut calls) = (60, 0);
    for seed in 1..=seeds {
        let mut random = Random(seed * 0x9E37_79B9);
        let mut world = World::default();
        world.role("M", Role::Moderator);
        for _ in 0..400 {
            step(&mut world, &mut random);
        }
        // Everybody who is there stays; who is away is lost, and nobody's bell rings any more.
        world.pass(TimeDelta::from_secs(61));
        assert_agree(&world, seed);
        calls += world.order.iter().filter(|said| said.ends_with("accepted")).count();
    }
    assert!(calls as u64 > seeds * 4, "the model hardly ever calls: {calls}");
}

#[test]
fn sig_1_restarts_of_the_server_in_between_come_to_rest_too() {
    for seed in 1..=25 {
        let mut random = Random(seed * 0x51_7CC1);
        let mut world = World::default();
        world.role("M", Role::Moderator);
        for _ in 0..4 {
            for _ in 0..100 {
                step(&mut world, &mut random);
            }
            world.restart();
        }
        for _ in 0..100 {
            step(&mut world, &mut random);
        }
        world.pass(TimeDelta::from_secs(61));
        assert_agree(&world, seed);
    }
}
