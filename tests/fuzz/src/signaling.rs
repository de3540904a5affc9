//! Signaling: any text from several connections.

use millstream_core::{Time, TimeDelta};
use millstream_signaling::board::{Board, BoardSettings, ConnId, Moment, Output};
use millstream_signaling::identity::{Role, Who};
use millstream_signaling::message::{MAX_MESSAGE, parse};

/// Connections that talk in turns.
const CONNS: u64 = 3;

/// Lines are what connections say in turns; an empty one loses its connection, and lets time pass.
pub fn board(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut board = Board::new(BoardSettings::default(), b"secret", [7; 32]);
    let mut at = Moment { now: Time::ZERO, wall: Time::ZERO };
    let mut open = [false; CONNS as usize];
    // The last lets go of everything.
    for (turn, line) in text.lines().chain(["", "", ""]).enumerate() {
        let which = turn % open.len();
        let conn = ConnId(which as u64);
        if !std::mem::replace(&mut open[which], true) {
            board.connect(at, conn);
        }
        if line.is_empty() {
            board.lost(at, conn);
            open[which] = false;
            let passed = TimeDelta::from_secs(11);
            at = Moment { now: at.now + passed, wall: at.wall + passed };
            board.advance(at);
        } else {
            board.hear_text(at, conn, line);
        }
        drain(&mut board, at, &mut open);
    }
    let later = Moment { now: at.now + TimeDelta::from_secs(100), wall: at.wall };
    board.advance(later);
    assert_eq!(board.counts(), [0; 3], "nobody is there, so nothing is");
    let _ = parse(&text);
}

fn drain(board: &mut Board, at: Moment, open: &mut [bool; CONNS as usize]) {
    while let Some(output) = board.poll_output() {
        match output {
            Output::Send(conn, envelope) => {
                assert!(open[conn.0 as usize], "nobody hears this");
                // Names of members are said to each other: some times what came in.
                assert!(envelope.to_json().len() <= 8 * MAX_MESSAGE);
            }
            Output::Close(conn, _) => {
                if std::mem::replace(&mut open[conn.0 as usize], false) {
                    board.lost(at, conn);
                }
            }
            Output::Authenticate { conn, identity, .. } => {
                let roles = [Role::Guest, Role::Moderator, Role::Worker];
                let role = roles[conn.0 as usize % roles.len()];
                let who = Who { identity: identity.unwrap_or_default(), role, ..Who::default() };
                board.admitted(at, conn, Ok(who));
            }
            Output::Gone(_) => {}
        }
    }
}
