//! Who comes, comes back and goes; and rooms.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::World;
use millstream_core::TimeDelta;
use millstream_signaling::board::{BoardSettings, Duplicates};
use millstream_signaling::identity::{Patterns, Role, Who};
use serde_json::json;

fn join(world: &mut World, names: &[&str]) {
    for name in names {
        world.come(name);
        world.say(name, json!({ "type": "join", "room": "r" }));
    }
}

#[test]
fn sig_1_members_hear_who_comes_and_goes() {
    let mut world = World::default();
    join(&mut world, &["A", "B"]);
    world.assert_order(&["A welcome", "A joined", "B welcome", "B joined", "A member-joined"]);
    let names = |list: &serde_json::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|member| member["identity"].as_str().unwrap().into()).collect()
    };
    let mut members = names(&world.last("B", "joined")["members"]);
    members.sort();
    assert_eq!(members, ["A", "B"]);
    assert_eq!(world.last("A", "member-joined")["member"]["presence"], "here");
    world.say("A", json!({ "type": "list" }));
    assert_eq!(world.last("A", "rooms")["rooms"], json!([{ "room": "r", "members": 2, "limit": 16 }]));
    world.say("B", json!({ "type": "leave", "room": "r" }));
    assert_eq!(world.last("A", "member-left")["reason"], "left");
    world.say("A", json!({ "type": "list", "room": "r" }));
    assert_eq!(names(&world.last("A", "members")["members"]), ["A"]);
    world.say("B", json!({ "type": "list", "room": "r" }));
    assert_eq!(world.error("B"), "no-room", "a room is for those in it");
    world.forget();
    world.say("B", json!({ "type": "leave", "room": "r" }));
    assert_eq!(world.error("B"), "no-room");
    world.say("A", json!({ "type": "bye" }));
    world.assert_order(&["B error", "A closed"]);
    assert_eq!((world.board.counts(), world.gone.clone()), ([1, 0, 0], vec!["A".to_owned()]));
}

#[test]
fn sig_1_rooms_have_a_size() {
    let mut world = World::new(BoardSettings { room_size: 2, ..BoardSettings::default() });
    join(&mut world, &["A", "B", "C"]);
    assert_eq!(world.error("C"), "room-full");
    world.say("B", json!({ "type": "join", "room": "r" }));
    assert_eq!(world.last("B", "joined")["limit"], 2, "who is in may join again");
    world.say("A", json!({ "type": "leave", "room": "r" }));
    world.say("C", json!({ "type": "join", "room": "r" }));
    assert_eq!(world.last("C", "joined")["members"].as_array().unwrap().len(), 2);
    for n in 0..8 {
        world.say("C", json!({ "type": "join", "room": format!("r{n}") }));
    }
    assert_eq!(world.error("C"), "too-many-rooms");
}

#[test]
fn sig_1_moderators_throw_out_and_mute() {
    let mut world = World::default();
    world.role("M", Role::Moderator);
    join(&mut world, &["M", "A", "B"]);
    world.say("A", json!({ "type": "kick", "room": "r", "peer": "@B" }));
    assert_eq!(world.error("A"), "not-allowed");
    world.say("A", json!({ "type": "mute", "room": "r", "peer": "@B", "kind": "audio", "muted": true }));
    assert_eq!(world.error("A"), "not-allowed");
    // Oneself, and others as a moderator.
    world.say("A", json!({ "type": "mute", "room": "r", "kind": "video", "muted": true }));
    assert_eq!(world.last("B", "member-changed")["member"]["muted"], json!(["video"]));
    world.say("M", json!({ "type": "mute", "room": "r", "peer": "@A", "kind": "audio", "muted": true }));
    assert_eq!(world.last("A", "member-changed")["member"]["muted"], json!(["audio", "video"]));
    world.say("A", json!({ "type": "mute", "room": "r", "kind": "video", "muted": false }));
    world.say("A", json!({ "type": "mute", "room": "r", "kind": "audio", "muted": false }));
    assert_eq!(world.error("A"), "not-allowed", "a moderator has to");
    world.say("M", json!({ "type": "mute", "room": "r", "peer": "@A", "kind": "audio", "muted": false }));
    assert_eq!(world.last("B", "member-changed")["member"]["muted"], json!([]));
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    world.forget();
    world.say("M", json!({ "type": "kick", "room": "r", "peer": "@B" }));
    assert_eq!(world.last("B", "left")["reason"], "kicked");
    assert_eq!(world.last("A", "member-left")["reason"], "kicked");
    assert_eq!(world.last("A", "ended")["reason"], "left", "they meet nowhere any more");
    world.say("B", json!({ "type": "join", "room": "r" }));
    assert_eq!(world.error("B"), "room-kicked");
}

#[test]
fn sig_1_a_session_outlives_a_room_when_its_ends_meet_elsewhere() {
    let mut world = World::default();
    join(&mut world, &["A", "B"]);
    ["A", "B"].iter().for_each(|name| world.say(name, json!({ "type": "join", "room": "s" })));
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    world.say("B", json!({ "type": "leave", "room": "r" }));
    assert_eq!(world.board.counts()[2], 1);
    world.say("B", json!({ "type": "leave", "room": "s" }));
    assert_eq!(world.last("A", "ended")["reason"], "left");
}

#[test]
fn sig_1_a_lost_socket_is_resumed_and_nothing_is_missed_or_done_twice() {
    let mut world = World::default();
    join(&mut world, &["A", "B"]);
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    let session = world.session("B", "invite");
    world.say("B", json!({ "type": "accept", "session": session, "seq": 7 }));
    world.lose("B");
    assert_eq!(world.last("A", "member-changed")["member"]["presence"], "away");
    world.forget();
    world.say("A", json!({ "type": "offer", "session": session, "sdp": "o" }));
    world.say("A", json!({ "type": "candidate", "session": session, "candidate": null }));
    world.assert_order(&[]);
    world.pass(TimeDelta::from_secs(29));
    world.resume("B");
    world.assert_order(&["B welcome", "B offer", "B candidate", "A member-changed"]);
    let welcome = world.last("B", "welcome");
    assert_eq!((&welcome["state"], &welcome["heard"]), (&json!("resumed"), &json!(7)));
    // What it had said before is not done again.
    world.say("B", json!({ "type": "accept", "session": session, "seq": 7 }));
    world.say("B", json!({ "type": "answer", "session": session, "sdp": "a", "seq": 8 }));
    world.assert_order(&["A answer"]);
    world.pass(TimeDelta::from_secs(3600));
    assert_eq!(world.board.counts(), [2, 1, 1], "the end of its time away is void");
}

#[test]
fn sig_1_who_does_not_come_back_is_lost_and_may_be_restored_later() {
    let mut world = World::default();
    join(&mut world, &["A", "B"]);
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    let id = world.clients["B"].id.clone();
    world.lose("B");
    world.pass(TimeDelta::from_secs(30));
    assert_eq!(world.last("A", "member-left")["reason"], "lost");
    assert_eq!(world.gone, ["B"]);
    world.resume("B");
    assert_eq!((world.clients["B"].state.as_str(), &world.clients["B"].id), ("restored", &id));
    world.lose("B");
    world.pass(TimeDelta::from_secs(3606));
    world.resume("B");
    assert_eq!(world.error("B"), "not-allowed", "an hour is the end of it");
}

#[test]
fn sig_1_a_resume_takes_over_a_socket_that_nobody_has_missed_yet() {
    let mut world = World::default();
    join(&mut world, &["A", "B"]);
    world.forget();
    world.resume("B");
    world.assert_order(&["B welcome"]);
    assert_eq!(world.clients["B"].state, "resumed");
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    world.assert_order(&["A inviting", "B invite"]);
}

#[test]
fn sig_1_tokens_of_resumes_are_for_their_owner_and_not_for_ever() {
    let mut world = World::default();
    join(&mut world, &["A", "B"]);
    let first = world.clients["B"].resume.clone();
    world.resume("B");
    world.resume("B");
    world.resume("B");
    let hello = |resume: &str| json!({ "type": "hello", "version": 1, "resume": resume });
    world.connect("X", hello(&first));
    assert_eq!(world.error("X"), "not-allowed", "too old");
    let last = world.clients["B"].resume.clone();
    world.connect("X", hello(&last.replace('.', "")));
    assert_eq!(world.error("X"), "not-allowed");
    world.say("B", json!({ "type": "bye" }));
    world.connect("X", hello(&last));
    assert_eq!(world.error("X"), "not-allowed", "who left does not come back");
    assert_eq!(world.clients["X"].closed.as_deref(), Some("not-allowed"));
}

#[test]
fn sig_1_a_server_that_is_started_anew_restores_people_and_their_call() {
    let mut world = World::default();
    join(&mut world, &["A", "B"]);
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    let session = world.session("B", "invite");
    world.say("B", json!({ "type": "accept", "session": session }));
    let ids = ["A", "B"].map(|name| world.clients[name].id.clone());
    world.restart();
    assert_eq!(world.last("A", "closed")["reason"], "server-ends");
    for name in ["A", "B"] {
        world.resume(name);
        assert_eq!(world.clients[name].state, "restored");
        world.say(name, json!({ "type": "join", "room": "r" }));
    }
    assert_eq!(ids, ["A", "B"].map(|name| world.clients[name].id.clone()));
    world.forget();
    let reopen =
        |with: &str, polite: bool| json!({ "type": "reopen", "session": session, "with": with, "polite": polite });
    world.come("X");
    world.say("X", json!({ "type": "join", "room": "r" }));
    world.say("X", reopen("@A", true));
    world.say("A", reopen("@B", false));
    assert_eq!(world.error("A"), "no-session", "somebody else asked for that session");
    let mut world = restarted(&session);
    world.say("B", reopen("@A", true));
    world.say("A", reopen("@B", false));
    world.assert_order(&["B opened", "A opened"]);
    assert_eq!(
        (world.last("A", "opened")["polite"].clone(), world.last("B", "opened")["polite"].clone()),
        (json!(false), json!(true))
    );
    world.say("A", json!({ "type": "offer", "session": session, "sdp": "o" }));
    world.say("B", json!({ "type": "answer", "session": session, "sdp": "a" }));
    world.assert_order(&["B offer", "A answer"]);
    // With only one end there is no session.
    let mut world = restarted(&session);
    world.say("B", reopen("@A", true));
    world.pass(TimeDelta::from_secs(30));
    assert_eq!(world.last("B", "ended")["reason"], "lost");
}

/// A and B in a room of a server that was started anew.
fn restarted(_: &str) -> World {
    let mut world = World::default();
    join(&mut world, &["A", "B"]);
    world.restart();
    for name in ["A", "B"] {
        world.resume(name);
        world.say(name, json!({ "type": "join", "room": "r" }));
    }
    world.forget();
    world
}

#[test]
fn sig_1_one_identity_twice_replaces_is_refused_or_allowed() {
    let hello = json!({ "type": "hello", "version": 1, "identity": "A" });
    for (policy, older, newer) in [
        (Duplicates::Replace, Some("replaced"), None),
        (Duplicates::Refuse, None, Some("not-allowed")),
        (Duplicates::Allow, None, None),
    ] {
        let mut world = World::new(BoardSettings { duplicates: policy, ..BoardSettings::default() });
        join(&mut world, &["A", "B"]);
        world.connect("A again", hello.clone());
        assert_eq!(world.clients["A"].closed.as_deref(), older, "{policy:?}");
        assert_eq!(world.clients["A again"].closed.as_deref(), newer, "{policy:?}");
        if policy == Duplicates::Replace {
            assert_eq!(world.last("B", "member-left")["reason"], "replaced");
            world.resume("A");
            assert_eq!(world.error("A"), "not-allowed", "else they would throw each other out for ever");
        }
    }
}

#[test]
fn sig_3_an_identity_expires_unless_it_is_renewed() {
    let mut world = World::default();
    let until = |world: &World, seconds: i64| Some(world.unix() + seconds);
    for (name, seconds) in [("A", 60), ("B", 60)] {
        let expires = until(&world, seconds);
        world.who.insert(name.into(), Who { identity: name.into(), expires, ..Who::default() });
    }
    join(&mut world, &["A", "B"]);
    let longer = Who { identity: "A".into(), expires: until(&world, 200), ..Who::default() };
    world.who.insert("longer".into(), longer);
    world.pass(TimeDelta::from_secs(49));
    assert!(!world.order.contains(&"A expiring".to_owned()));
    world.pass(TimeDelta::from_secs(1));
    assert_eq!(world.last("A", "expiring")["in"], 10);
    world.say("A", json!({ "type": "renew", "token": "B" }));
    assert_eq!(world.error("A"), "not-allowed", "somebody else's");
    world.say("A", json!({ "type": "renew", "token": "longer", "ref": "n" }));
    assert_eq!(world.last("A", "renewed")["ref"], "n");
    world.pass(TimeDelta::from_secs(10));
    assert_eq!(world.clients["B"].closed.as_deref(), Some("expired"));
    assert_eq!(world.last("A", "member-left")["reason"], "expired");
    world.resume("B");
    assert_eq!(world.error("B"), "not-allowed");
    world.pass(TimeDelta::from_secs(139));
    assert_eq!(world.clients["A"].closed, None);
    world.pass(TimeDelta::from_secs(1));
    assert_eq!(world.clients["A"].closed.as_deref(), Some("expired"));
}

#[test]
fn sig_3_tokens_limit_rooms_and_streams() {
    let mut world = World::default();
    let only = |pattern: &str| Patterns::only([pattern]);
    let who =
        Who { identity: "A".into(), rooms: only("r*"), publish: only("live/a"), play: only("x"), ..Who::default() };
    world.who.insert("A".into(), who);
    world.role("W", Role::Worker);
    join(&mut world, &["A", "W"]);
    world.say("W", json!({ "type": "worker", "streams": ["*"], "purposes": ["publish", "play"] }));
    world.say("A", json!({ "type": "join", "room": "s" }));
    assert_eq!(world.error("A"), "not-allowed");
    for (message, allowed) in [
        (json!({ "type": "publish", "stream": "live/a" }), true),
        (json!({ "type": "publish", "stream": "live/b" }), false),
        (json!({ "type": "play", "stream": "live/a" }), false),
        (json!({ "type": "play", "stream": "x" }), true),
    ] {
        world.forget();
        world.say("A", message.clone());
        assert_eq!(world.order == ["W publish"] || world.order == ["W play"], allowed, "{message}");
    }
}

#[test]
fn sig_3_who_says_nothing_or_too_much_is_sent_away() {
    let mut world = World::default();
    world.connect("A", json!({ "type": "join", "room": "r" }));
    assert_eq!(world.error("A"), "hello-first");
    world.pass(TimeDelta::from_secs(10));
    assert_eq!(world.clients["A"].closed.as_deref(), Some("hello-timeout"));
    world.connect("A", json!({ "type": "hello", "version": 2 }));
    assert_eq!((world.error("A").as_str(), world.clients["A"].closed.as_deref()), ("version", Some("protocol")));
    join(&mut world, &["A"]);
    world.say("A", json!({ "type": "hello", "version": 1 }));
    assert_eq!(world.error("A"), "hello-again");
    world.forget();
    for _ in 0..150 {
        world.say("A", json!({ "type": "ping" }));
    }
    let count = |world: &World, what: &str| world.order.iter().filter(|said| **said == what).count();
    assert_eq!((count(&world, "A pong"), count(&world, "A error")), (97, 1), "told once");
    world.pass(TimeDelta::from_secs(1));
    world.say("A", json!({ "type": "ping" }));
    assert_eq!(count(&world, "A pong"), 98);
    for _ in 0..200 {
        world.say("A", json!({ "type": "ping" }));
    }
    assert_eq!(world.clients["A"].closed.as_deref(), Some("too-fast"));
    assert_eq!(world.board.counts()[0], 1, "it may resume, more slowly");
}

#[test]
fn sig_1_there_are_only_so_many_peers() {
    let mut world = World::new(BoardSettings { max_peers: 2, ..BoardSettings::default() });
    ["A", "B", "C"].iter().for_each(|name| world.come(name));
    assert_eq!(world.error("C"), "too-many-peers");
}

#[test]
fn sig_1_a_peer_that_missed_too_much_is_restored() {
    let mut world = World::default();
    join(&mut world, &["A", "B"]);
    world.lose("B");
    for _ in 0..300 {
        world.say("A", json!({ "type": "mute", "room": "r", "kind": "audio", "muted": true }));
        world.pass(TimeDelta::from_millis(50));
    }
    world.resume("B");
    assert_eq!(world.clients["B"].state, "restored");
    assert_eq!(world.last("A", "member-left")["reason"], "lost");
}
