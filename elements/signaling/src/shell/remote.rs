//! A peer at a server elsewhere: a WebSocket that comes back by itself, as long as somebody wants it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use millstream_core::{Env, Error, ErrorKind, Result, TimeDelta};
use millstream_server::backoff::Backoff;
use millstream_server::http::client::within;
use millstream_server::http::websocket::{Heard, Message, Opened, Talk};

use super::watch::Watch;
use crate::client::{Client, Credentials, Ended};
use crate::message::{ClientMessage, ClosedReason, Envelope, MAX_MESSAGE};

/// How long a server may take to open a connection.
const CONNECT_TIME: TimeDelta = TimeDelta::from_secs(15);

/// How long a peer that leaves waits for the server to have heard it.
const FAREWELL: TimeDelta = TimeDelta::from_secs(1);

/// Longest message of a server: the list of a thousand members.
const LONGEST: usize = 16 * MAX_MESSAGE;

/// A code of an end that needs no more words (RFC 6455, 7.4.1).
const NORMAL: u16 = 1000;

/// A peer at a server elsewhere. It says good-bye when it goes.
pub struct RemotePeer(Arc<Shared>);

struct Shared {
    env: Env,
    state: Mutex<State>,
}

struct State {
    client: Client,
    heard: VecDeque<Arc<Envelope>>,
    /// Nobody wants the connection any more.
    is_leaving: bool,
    /// The server has known it on this connection.
    was_open: bool,
    over: Option<Result<()>>,
    is_over: bool,
    /// Who hears, who sends, and who keeps the connection.
    wakers: [Option<Waker>; 3],
}

/// Who waits for what.
#[derive(Clone, Copy)]
enum Waits {
    Hearer,
    Line,
    Keeper,
}

impl State {
    fn wait(&mut self, who: Waits, cx: &Context<'_>) {
        self.wakers[who as usize] = Some(cx.waker().clone());
    }

    fn wake(&mut self) {
        self.wakers.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }

    fn end(&mut self, how: Result<()>) {
        self.over = Some(how);
        self.is_over = true;
        self.wake();
    }
}

impl RemotePeer {
    /// A peer at the server of a `ws` or `wss` URL, from when that can be reached on.
    pub fn at(env: &Env, url: &str, credentials: Credentials) -> Self {
        let (client, heard) = (Client::new(credentials), VecDeque::new());
        let state = State {
            client,
            heard,
            is_leaving: false,
            was_open: false,
            over: None,
            is_over: false,
            wakers: [None, None, None],
        };
        let shared = Arc::new(Shared { env: env.clone(), state: Mutex::new(state) });
        env.tasks.spawn(Box::pin(keep(shared.clone(), url.to_owned()))).detach();
        Self(shared)
    }

    /// Says something, now or when the connection is back.
    pub fn say(&self, message: &ClientMessage) {
        let mut state = self.0.lock();
        state.client.say(message);
        state.wake();
    }

    /// The next message. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the server, or its URL, will not do, whatever one tries.
    pub async fn hear(&self) -> Result<Arc<Envelope>> {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if let Some(envelope) = state.heard.pop_front() {
                return Poll::Ready(Ok(envelope));
            }
            if let Some(Err(error)) = state.over.take() {
                return Poll::Ready(Err(error));
            }
            state.wait(Waits::Hearer, cx);
            Poll::Pending
        })
        .await
    }

    /// Says good-bye, and waits until the server has heard it, for a while.
    pub async fn leave(self) {
        self.0.leave();
        let heard = poll_fn(|cx| {
            let mut state = self.0.lock();
            state.wait(Waits::Hearer, cx);
            if state.is_over { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            () = heard => {}
            () = self.0.env.clock.sleep_until(self.0.env.clock.now() + FAREWELL) => {}
        }
    }
}

impl Drop for RemotePeer {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self) {
        let mut state = self.lock();
        if !state.is_over && !std::mem::replace(&mut state.is_leaving, true) {
            state.client.say(&ClientMessage::Bye {});
        }
        if !state.client.is_open() {
            state.end(Ok(()));
        }
        state.wake();
    }

    /// Waits until nobody wants the connection any more.
    async fn left(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            state.wait(Waits::Keeper, cx);
            if state.is_leaving || state.is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn hear(&self, text: &str) {
        let mut state = self.lock();
        match state.client.hear(text) {
            Ok(envelope) => state.heard.extend(envelope.map(Arc::new)),
            Err(ended) => state.end(error_of(ended)),
        }
        state.was_open |= state.client.is_open();
        state.wake();
    }
}

/// Connects again and again.
async fn keep(shared: Arc<Shared>, url: String) {
    let env = shared.env.clone();
    let mut backoff = Backoff::default();
    while !shared.lock().is_over {
        let opened = tokio::select! {
            opened = within(&env, CONNECT_TIME, "the signaling server", Opened::at(&env, &url)) => opened,
            () = shared.left() => return,
        };
        match opened {
            Ok(opened) => {
                shared.lock().client.connected();
                talk(&shared, opened).await;
                let mut state = shared.lock();
                state.client.lost();
                if std::mem::take(&mut state.was_open) {
                    backoff.reset();
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::Settings | ErrorKind::Unsupported) => {
                shared.lock().end(Err(error.on_property("signaling")));
            }
            Err(error) => tracing::warn!(%error, "the signaling server cannot be reached; tries again"),
        }
        if shared.lock().is_leaving {
            shared.lock().end(Ok(()));
        }
        let until = env.clock.now() + backoff.next(&env);
        tokio::select! {
            () = env.clock.sleep_until(until) => {}
            () = shared.left() => {}
        }
    }
}

async fn talk(shared: &Arc<Shared>, opened: Opened) {
    let env = &shared.env;
    let watch = Watch::new(env.clock.now());
    let talking = opened.talk(Box::new(Line { shared: shared.clone(), watch }));
    let farewell = async {
        shared.left().await;
        env.clock.sleep_until(env.clock.now() + FAREWELL).await;
    };
    tokio::select! {
        () = talking => {}
        () = farewell => {}
    }
}

/// After which ends nothing is tried again, and who can do something about it.
fn error_of(ended: Ended) -> Result<()> {
    let settings = |property, hint| Err(Error::settings(ended.to_string()).on_property(property).hint(hint));
    match ended.reason {
        ClosedReason::Bye => Ok(()),
        ClosedReason::NotAllowed => settings("token", "say a key or a signed token of that server"),
        ClosedReason::Expired => settings("token", "make it of a longer time (`exp`)"),
        ClosedReason::Replaced => settings("identity", "give each element an identity of its own"),
        _ => Err(Error::new(ErrorKind::Peer, ended.to_string())),
    }
}

/// One connection.
struct Line {
    shared: Arc<Shared>,
    watch: Watch,
}

impl Talk for Line {
    fn longest(&self) -> usize {
        LONGEST
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut state = self.shared.lock();
        if let Some(text) = state.client.poll_output() {
            return Poll::Ready(Some(Message::Text(Bytes::from(text))));
        }
        if state.is_over {
            return Poll::Ready(Some(Message::Close(NORMAL, String::new())));
        }
        state.wait(Waits::Line, cx);
        drop(state);
        self.watch.poll(&*self.shared.env.clock, cx)
    }

    fn hear(&mut self, heard: Heard) {
        self.watch.heard(self.shared.env.clock.now());
        if let Heard::Text(text) = heard {
            self.shared.hear(&text);
        }
    }
}
