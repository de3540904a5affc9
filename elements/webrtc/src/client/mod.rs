//! Clients of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): an offer is posted, the answer names a session, and that ends with DELETE.
//!
//! | module | what |
//! | --- | --- |
//! | `settings` | what both are told, declared once |
//! | `exchange` | requests, and what servers say |
//! | `failure` | what another attempt mends, and when |
//! | `call` | from an offer to a session, and back |
//! | [`sink`] | `whipsink` |
//! | [`src`] | `whepsrc` |

mod call;
mod exchange;
mod failure;
mod settings;
pub mod sink;
pub mod src;

use std::task::{Context, Poll};

use millstream_core::{Error, MessageKind, Output};
use tokio::sync::mpsc;

pub(crate) use self::call::{Caller, Met, leave};
pub(crate) use self::exchange::Resource;
pub(crate) use self::failure::{Attempts, Failure};
use crate::control::{Control, Controls};

/// Fuzz body: the reason in the body of a refusal, in each form that it may have.
#[doc(hidden)]
pub fn fuzz_problem(data: &[u8]) {
    failure::fuzz(data);
}

/// What the side of the connection tells the side of the pipeline.
#[derive(Debug)]
pub(crate) enum Notice {
    /// There is a connection.
    Connected,
    /// There is none any more, or none so far, and it is tried again.
    Lost(Error),
    /// Something that people should know.
    Warning(Error),
}

/// The next notice of a client, if there is one.
pub(crate) async fn heard(notices: Option<&mut mpsc::UnboundedReceiver<Notice>>) -> Notice {
    match notices {
        Some(notices) => match notices.recv().await {
            Some(notice) => notice,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

impl Notice {
    /// Posts it.
    pub(crate) fn post(self, out: &mut Output) {
        let element = |name| MessageKind::Element { name, fields: Vec::new() };
        match self {
            Self::Connected => out.post(element("connected")),
            Self::Lost(error) => {
                out.post(element("disconnected"));
                out.warn(error);
            }
            Self::Warning(error) => out.warn(error),
        }
    }
}

/// What a session tells who has made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The server was reached.
    Connected,
    /// It is over, in good order if the server has said so.
    Ended { well: bool },
}

/// A client's end of a session: nobody asks it for anything.
pub(crate) struct Reins(mpsc::UnboundedSender<Told>);

impl Reins {
    /// One, and what it is told. Nothing more comes when the session is gone.
    pub(crate) fn pair() -> (Box<dyn Controls>, mpsc::UnboundedReceiver<Told>) {
        let (sender, told) = mpsc::unbounded_channel();
        (Box::new(Self(sender)), told)
    }
}

impl Controls for Reins {
    fn poll_asked(&mut self, _: &mut Context<'_>) -> Poll<Option<Control>> {
        Poll::Pending
    }

    fn connected(&mut self) {
        let _ = self.0.send(Told::Connected);
    }

    fn ended(&mut self, well: bool) {
        let _ = self.0.send(Told::Ended { well });
    }
}
