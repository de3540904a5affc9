//! The conversations of `docs/spec/signaling.md`, each as the order of what is said.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::World;
use millstream_core::TimeDelta;
use millstream_signaling::identity::Role;
use serde_json::{Value, json};

fn candidate(n: u32) -> Value {
    json!({ "candidate": format!("candidate:{n} 1 udp 1 192.0.2.{n} 9 typ host"), "sdpMid": "0" })
}

/// A call between A and B that is open; its session.
fn call(world: &mut World) -> String {
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    let session = world.session("B", "invite");
    world.say("B", json!({ "type": "accept", "session": session }));
    world.forget();
    session
}

#[test]
fn sig_3_pull_a_offers_b_answers_and_candidates_trickle_both_ways() {
    let mut world = World::room(&["A", "B"]);
    world.say("A", json!({ "type": "offer", "to": "@B", "sdp": "offer of A", "ref": "1" }));
    world.assert_order(&["A opened", "B offer"]);
    let session = world.session("B", "offer");
    assert_eq!(world.last("A", "opened")["ref"], "1");
    assert_eq!(world.last("B", "offer")["sdp"], "offer of A");
    assert_eq!(world.last("B", "offer")["from"], world.clients["A"].id);
    world.say("A", json!({ "type": "candidate", "session": session, "candidate": candidate(1) }));
    world.say("B", json!({ "type": "answer", "session": session, "sdp": "answer of B" }));
    world.say("B", json!({ "type": "candidate", "session": session, "candidate": candidate(2) }));
    world.say("A", json!({ "type": "candidate", "session": session, "candidate": null }));
    world.say("B", json!({ "type": "candidate", "session": session }));
    world.assert_order(&["B candidate", "A answer", "A candidate", "B candidate", "A candidate"]);
    assert_eq!(world.last("B", "candidate")["candidate"], Value::Null);
    assert_eq!(world.clients["A"].heard[2]["candidate"], candidate(2));
}

#[test]
fn sig_3_early_duplicate_and_late_candidates_do_no_harm() {
    let mut world = World::room(&["A", "B"]);
    let session = call(&mut world);
    let from_b = |n: u32| json!({ "type": "candidate", "session": session, "candidate": candidate(n) });
    world.say("A", json!({ "type": "offer", "session": session, "sdp": "o" }));
    // B has found candidates before it has answered.
    world.say("B", from_b(1));
    world.say("B", from_b(2));
    world.say("B", from_b(1));
    world.assert_order(&["B offer"]);
    world.say("B", json!({ "type": "answer", "session": session, "sdp": "a" }));
    world.assert_order(&["A answer", "A candidate", "A candidate"]);
    world.say("B", from_b(2));
    world.assert_order(&[]);
    // Of the next generation the same one is another.
    world.say("B", json!({ "type": "offer", "session": session, "sdp": "restart" }));
    world.say("B", from_b(2));
    world.assert_order(&["A offer", "A candidate"]);
    world.say("A", json!({ "type": "hangup", "session": session }));
    world.forget();
    world.say("B", from_b(3));
    world.say("B", json!({ "type": "answer", "session": session, "sdp": "late" }));
    world.say("B", json!({ "type": "hangup", "session": session }));
    world.assert_order(&[]);
}

#[test]
fn sig_3_candidates_that_wait_for_a_description_are_limited() {
    let mut world = World::room(&["A", "B"]);
    let session = call(&mut world);
    for n in 0..64 {
        world.say("A", json!({ "type": "candidate", "session": session, "candidate": candidate(n) }));
    }
    world.assert_order(&[]);
    world.say("A", json!({ "type": "candidate", "session": session, "candidate": candidate(64) }));
    assert_eq!(world.error("A"), "too-large");
}

#[test]
fn sig_3_push_goes_publish_init_offer_answer_candidate_ready() {
    let mut world = World::default();
    world.role("W", Role::Worker);
    world.come("W");
    world.come("C");
    world.say("W", json!({ "type": "worker", "streams": ["live/*"], "purposes": ["publish", "play", "loopback"] }));
    world.forget();
    for (wish, stream) in [("publish", "live/cam"), ("play", "live/cam"), ("loopback", "")] {
        world.say("C", json!({ "type": wish, "stream": stream }));
        let session = world.session("W", wish);
        assert_eq!(world.last("W", wish)["from"]["identity"], "C");
        world.say("W", json!({ "type": "init", "session": session }));
        assert_eq!(world.last("C", "init")["stream"], stream);
        world.say("C", json!({ "type": "offer", "session": session, "sdp": "o" }));
        world.say("W", json!({ "type": "answer", "session": session, "sdp": "a with candidates" }));
        world.say("C", json!({ "type": "candidate", "session": session, "candidate": candidate(1) }));
        world.say("W", json!({ "type": "ready", "session": session }));
        let first = format!("W {wish}");
        world.assert_order(&[&first, "C init", "W offer", "C answer", "W candidate", "C ready"]);
        world.say("C", json!({ "type": "hangup", "session": session }));
        world.assert_order(&["C ended", "W ended"]);
    }
}

#[test]
fn sig_3_a_worker_answers_as_many_as_come_at_once() {
    let mut world = World::default();
    world.role("W", Role::Worker);
    world.come("W");
    world.say("W", json!({ "type": "worker", "streams": ["cam"], "purposes": ["play"] }));
    // Three messages each are far more than anybody else may say at once.
    for number in 0..100 {
        let viewer = format!("V{number}");
        world.come(&viewer);
        world.say(&viewer, json!({ "type": "play", "stream": "cam" }));
        let session = world.session("W", "play");
        world.say("W", json!({ "type": "init", "session": session }));
        world.say(&viewer, json!({ "type": "offer", "session": session, "sdp": "o" }));
        world.say("W", json!({ "type": "answer", "session": session, "sdp": "a" }));
        world.say("W", json!({ "type": "ready", "session": session }));
        assert_eq!(world.last(&viewer, "ready")["session"], session, "viewer {number}");
    }
}

#[test]
fn sig_3_streams_that_nobody_serves_or_the_worker_refuses_are_told() {
    let mut world = World::default();
    world.role("W", Role::Worker);
    world.come("W");
    world.come("C");
    world.say("C", json!({ "type": "publish", "stream": "live/cam" }));
    assert_eq!(world.error("C"), "no-worker");
    world.say("C", json!({ "type": "worker", "streams": ["*"], "purposes": ["publish"] }));
    assert_eq!(world.error("C"), "not-allowed");
    world.say("W", json!({ "type": "worker", "streams": ["live/*"], "purposes": ["publish"] }));
    for (wish, stream) in [("play", "live/cam"), ("publish", "other"), ("loopback", "")] {
        world.say("C", json!({ "type": wish, "stream": stream }));
        assert_eq!(world.error("C"), "no-worker");
    }
    world.say("C", json!({ "type": "publish", "stream": "live/cam" }));
    let session = world.session("W", "publish");
    world.say("C", json!({ "type": "offer", "session": session, "sdp": "too early" }));
    assert_eq!(world.error("C"), "wrong-state");
    world.say("C", json!({ "type": "refuse", "session": session, "message": "not mine" }));
    assert_eq!(world.error("C"), "wrong-state");
    world.say("W", json!({ "type": "refuse", "session": session, "message": "B-frames cannot pass" }));
    let ended = world.last("C", "ended");
    assert_eq!((&ended["reason"], &ended["message"]), (&json!("refused"), &json!("B-frames cannot pass")));
    world.say("C", json!({ "type": "publish", "stream": "live/cam" }));
    world.pass(TimeDelta::from_secs(10));
    assert_eq!(world.last("C", "ended")["reason"], "timeout");
    assert_eq!(world.last("W", "ended")["reason"], "timeout");
}

#[test]
fn sig_2_a_call_is_invited_rings_is_accepted_and_hung_up() {
    let mut world = World::room(&["A", "B"]);
    world.say("A", json!({ "type": "invite", "to": "@B", "media": ["audio", "video"], "ref": "c" }));
    let session = world.session("B", "invite");
    assert_eq!(world.last("B", "invite")["from"]["identity"], "A");
    assert_eq!(world.last("B", "invite")["media"], json!(["audio", "video"]));
    world.say("B", json!({ "type": "ringing", "session": session }));
    world.say("B", json!({ "type": "ringing", "session": session }));
    world.say("B", json!({ "type": "accept", "session": session }));
    world.say("B", json!({ "type": "accept", "session": session }));
    assert_eq!(world.error("B"), "wrong-state");
    world.say("A", json!({ "type": "hangup", "session": session }));
    world.assert_order(&[
        "A inviting",
        "B invite",
        "A ringing",
        "A accepted",
        "B accepted",
        "B error",
        "A ended",
        "B ended",
    ]);
    let polite = |name| world.last(name, "accepted")["polite"].clone();
    assert_eq!((polite("A"), polite("B")), (json!(false), json!(true)));
    assert_eq!(world.last("B", "ended")["reason"], "hung-up");
}

#[test]
fn sig_2_hang_up_from_either_side_at_every_state() {
    // What was said before, who hangs up, how it ends.
    let table: [(&[&str], &str, &str, &str); 9] = [
        (&[], "A", "hangup", "cancelled"),
        (&[], "A", "cancel", "cancelled"),
        (&[], "B", "hangup", "rejected"),
        (&[], "B", "reject", "rejected"),
        (&["ringing"], "A", "hangup", "cancelled"),
        (&["ringing"], "A", "cancel", "cancelled"),
        (&["ringing"], "B", "reject", "rejected"),
        (&["ringing", "accept"], "A", "hangup", "hung-up"),
        (&["ringing", "accept"], "B", "hangup", "hung-up"),
    ];
    for (before, who, how, reason) in table {
        let mut world = World::room(&["A", "B"]);
        world.say("A", json!({ "type": "invite", "to": "@B" }));
        let session = world.session("B", "invite");
        before.iter().for_each(|what| world.say("B", json!({ "type": what, "session": session })));
        world.forget();
        world.say(who, json!({ "type": how, "session": session }));
        world.assert_order(&["A ended", "B ended"]);
        assert_eq!(world.last("A", "ended")["reason"], reason, "{before:?} {who} {how}");
        assert_eq!(world.last("B", "ended")["reason"], reason, "{before:?} {who} {how}");
        assert_eq!(world.board.counts()[2], 0);
        // Both are free for another.
        world.say("B", json!({ "type": "invite", "to": "@A" }));
        assert_eq!(world.last("A", "invite")["from"]["identity"], "B");
    }
}

#[test]
fn sig_2_what_does_not_fit_the_state_of_a_call_is_refused() {
    let mut world = World::room(&["A", "B"]);
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    let session = world.session("B", "invite");
    for (who, what) in
        [("A", "accept"), ("A", "ringing"), ("A", "reject"), ("B", "cancel"), ("A", "answer"), ("A", "offer")]
    {
        world.say(who, json!({ "type": what, "session": session, "sdp": "" }));
        assert_eq!(world.error(who), "wrong-state", "{who} {what}");
    }
    world.say("B", json!({ "type": "accept", "session": session }));
    for (who, what) in [("A", "cancel"), ("B", "reject"), ("B", "ringing"), ("B", "answer"), ("B", "pranswer")] {
        world.say(who, json!({ "type": what, "session": session, "sdp": "" }));
        assert_eq!(world.error(who), "wrong-state", "{who} {what}");
    }
    world.say("A", json!({ "type": "accept", "session": "0123" }));
    assert_eq!(world.error("A"), "no-session");
}

#[test]
fn sig_2_nobody_answers_and_the_call_ends_by_itself() {
    for rings in [false, true] {
        let mut world = World::room(&["A", "B"]);
        world.say("A", json!({ "type": "invite", "to": "@B" }));
        let session = world.session("B", "invite");
        if rings {
            world.say("B", json!({ "type": "ringing", "session": session }));
        }
        world.pass(TimeDelta::from_secs(29));
        assert_eq!(world.board.counts()[2], 1);
        world.pass(TimeDelta::from_secs(1));
        for name in ["A", "B"] {
            assert_eq!(world.last(name, "ended")["reason"], "timeout");
        }
    }
}

#[test]
fn sig_2_who_is_in_a_call_is_busy_and_hears_nothing() {
    let mut world = World::room(&["A", "B", "C"]);
    call(&mut world);
    world.say("C", json!({ "type": "invite", "to": "@B" }));
    world.assert_order(&["C inviting", "C ended"]);
    assert_eq!(world.last("C", "ended")["reason"], "busy");
    world.say("A", json!({ "type": "invite", "to": "@C" }));
    assert_eq!(world.error("A"), "wrong-state");
    // One who says so itself is busy elsewhere.
    let mut world = World::room(&["A", "B"]);
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    let session = world.session("B", "invite");
    world.say("B", json!({ "type": "reject", "session": session, "reason": "busy" }));
    assert_eq!(world.last("A", "ended")["reason"], "busy");
}

#[test]
fn sig_2_two_that_invite_each_other_are_connected() {
    let mut world = World::room(&["A", "B"]);
    world.say("A", json!({ "type": "invite", "to": "@B" }));
    world.say("B", json!({ "type": "invite", "to": "@A", "ref": "b" }));
    world.assert_order(&["A inviting", "B invite", "A accepted", "B accepted"]);
    assert_eq!(world.last("B", "accepted")["ref"], "b");
    assert_eq!(world.last("A", "accepted")["polite"], false);
}

#[test]
fn sig_2_glare_the_impolite_offer_stands() {
    for polite_first in [false, true] {
        let mut world = World::room(&["A", "B"]);
        let session = call(&mut world);
        let offer = |sdp: &str| json!({ "type": "offer", "session": session, "sdp": sdp });
        let order = if polite_first { ["B", "A"] } else { ["A", "B"] };
        order.iter().for_each(|name| world.say(name, offer(&format!("of {name}"))));
        // Both are passed on; the impolite end ignores what collides.
        assert_eq!(world.last("A", "offer")["collides"].as_bool(), (!polite_first).then_some(true));
        assert_eq!(world.last("B", "offer")["collides"], Value::Null);
        world.say("A", json!({ "type": "answer", "session": session, "sdp": "" }));
        assert_eq!(world.error("A"), "wrong-state", "the polite offer counts no more");
        world.forget();
        world.say("B", json!({ "type": "answer", "session": session, "sdp": "a" }));
        world.assert_order(&["A answer"]);
        // The polite end offers again what it had to take back.
        world.say("B", offer("again"));
        world.say("A", json!({ "type": "answer", "session": session, "sdp": "a" }));
        world.assert_order(&["A offer", "B answer"]);
    }
}

#[test]
fn sig_3_provisional_answers_and_renegotiation_from_both_ends() {
    let mut world = World::room(&["A", "B"]);
    let session = call(&mut world);
    let say = |world: &mut World, name: &str, kind: &str| {
        world.say(name, json!({ "type": kind, "session": session, "sdp": kind }))
    };
    for (name, kind) in [("A", "offer"), ("B", "pranswer"), ("B", "pranswer"), ("B", "answer")] {
        say(&mut world, name, kind);
    }
    world.assert_order(&["B offer", "A pranswer", "A pranswer", "A answer"]);
    say(&mut world, "B", "answer");
    assert_eq!(world.error("B"), "wrong-state");
    world.forget();
    // Tracks added and removed, ICE restarted: each is an offer in the session that is there.
    for (name, other) in [("B", "A"), ("A", "B"), ("A", "B")] {
        say(&mut world, name, "offer");
        say(&mut world, other, "answer");
        world.assert_order(&[&format!("{other} offer"), &format!("{name} answer")]);
    }
    assert_eq!(world.board.counts()[2], 1, "no new session, so no new transport");
}

#[test]
fn sig_3_a_policy_asks_everybody_for_other_codecs() {
    let mut world = World::default();
    world.role("M", Role::Moderator);
    for name in ["M", "A", "B"] {
        world.come(name);
        world.say(name, json!({ "type": "join", "room": "r" }));
    }
    world.forget();
    world.say("A", json!({ "type": "policy", "room": "r", "video": ["H264"] }));
    assert_eq!(world.error("A"), "not-allowed");
    world.forget();
    world.say("M", json!({ "type": "policy", "room": "r", "video": ["H264", "VP8"] }));
    world.order.sort();
    world.assert_order(&["A policy", "B policy", "M policy"]);
    assert_eq!(world.last("B", "policy")["video"], json!(["H264", "VP8"]));
    world.come("C");
    world.say("C", json!({ "type": "join", "room": "r" }));
    assert_eq!(world.last("C", "joined")["policy"], json!({ "video": ["H264", "VP8"], "audio": [] }));
}

#[test]
fn sig_1_strangers_do_not_reach_each_other() {
    let mut world = World::room(&["A", "B"]);
    world.come("X");
    world.forget();
    for message in [
        json!({ "type": "invite", "to": "@X" }),
        json!({ "type": "offer", "to": "@X", "sdp": "" }),
        json!({ "type": "invite", "to": "@A" }),
    ] {
        world.say("A", message);
        assert_eq!(world.error("A"), "no-peer");
    }
    let session = call(&mut world);
    world.say("X", json!({ "type": "hangup", "session": session }));
    assert_eq!(world.error("X"), "no-session", "sessions of others are not there");
    assert!(world.clients["B"].heard.is_empty());
}
