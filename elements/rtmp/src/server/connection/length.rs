//! A client that asks how long a recording is.

use std::task::{Context, Poll};

use millstream_core::env::BoxFuture;

use super::Connection;
use crate::Secret;
use crate::server::recordings;
use crate::session::server::Request;

/// How long is it? Nothing more is heard until the answer is there, which a file has to be read for.
pub(super) struct Measuring {
    request: Request,
    seconds: BoxFuture<'static, Option<f64>>,
}

impl Connection {
    /// The client wants to know how long something is. A live stream has no length, nor has for strangers what needs a key.
    pub(super) fn ask_length(&mut self, request: Request, name: &Secret) {
        let shelf = self.site.recordings.of(&self.app.0);
        let Some((dir, None)) = shelf else { return self.session.answer_stream_length(request, 0.0) };
        let (fs, app, name) = (self.env.fs.clone(), self.app.0.clone(), name.clone());
        let length = self.env.blocking(move || {
            let mut file = recordings::open(&*fs, &dir, &app, name.reveal()).ok()?;
            recordings::length(&mut *file).ok()
        });
        let seconds = Box::pin(async { length.await.flatten() });
        self.measuring = Some(Box::new(Measuring { request, seconds }));
    }

    pub(super) fn poll_length(&mut self, cx: &mut Context<'_>) -> Poll<(Request, f64)> {
        let Some(measuring) = &mut self.measuring else { return Poll::Pending };
        let request = measuring.request;
        measuring.seconds.as_mut().poll(cx).map(|seconds| {
            self.measuring = None;
            (request, seconds.unwrap_or(0.0))
        })
    }
}
