//! May a client publish or play this? The one place that says so.
//!
//! The element that takes a stream in, or hands it out, brings who may ([`Access`]). The answer may take its time. Until then nothing more
//! is read from a publisher: media that comes early waits in the network, which bounds it, and is not lost. A player is asked about when
//! the stream is there, since only then it is known who decides.

use std::net::SocketAddr;
use std::sync::Arc;

use millstream_core::Env;
use millstream_core::env::BoxFuture;
use millstream_server::access::{Access, Admitted, Denied, Hello, Purpose, Visit};

use super::mounts::StreamName;
use crate::Secret;
use crate::command::Connect;

/// The answer. Who is admitted keeps what was given as long as it stays.
pub(super) type Verdict = Result<Option<Admitted>, Denied>;

/// Who is on a connection.
#[derive(Debug)]
pub(super) struct Guest {
    peer: SocketAddr,
    /// Number of the connection.
    id: u64,
    /// Query of the application.
    app_query: Secret,
    hello: Arc<Hello>,
}

impl Guest {
    pub(super) fn new(peer: SocketAddr, id: u64) -> Self {
        Self { peer, id, app_query: Secret::default(), hello: Arc::default() }
    }

    /// It connects.
    pub(super) fn connects(&mut self, connect: &Connect) {
        let secret = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
        self.app_query = connect.app_query().into();
        self.hello = Arc::new(Hello {
            tc_url: secret(&connect.tc_url),
            flash_ver: connect.flash_ver.clone().unwrap_or_default(),
            swf_url: secret(&connect.swf_url),
            page_url: secret(&connect.page_url),
        });
    }

    /// The query of a name, and behind it that of the application.
    pub(super) fn query(&self, of_name: &Secret) -> Secret {
        joined(of_name, &self.app_query)
    }

    /// Asks whether it may. To be polled where the client is served.
    pub(super) fn ask(
        &self,
        env: &Env,
        access: Arc<Access>,
        purpose: Purpose,
        name: &StreamName,
        query: &Secret,
    ) -> BoxFuture<'static, Verdict> {
        let visit = Visit {
            purpose,
            peer: self.peer,
            client: self.id,
            app: name.app().to_owned(),
            stream: name.stream().to_owned(),
            query: self.query(query),
            hello: self.hello.clone(),
        };
        let env = env.clone();
        Box::pin(async move { access.admit(env, visit).await.map(Some) })
    }
}

/// The query of a name that a client said.
pub(super) fn query_of(name: &Secret) -> Secret {
    name.reveal().split_once('?').map_or("", |(_, query)| query).into()
}

fn joined(one: &Secret, other: &Secret) -> Secret {
    match (one.reveal(), other.reveal()) {
        (one, "") => one.into(),
        ("", other) => other.into(),
        (one, other) => format!("{one}&{other}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m13_queries_of_name_and_application() {
        for (name, app, query) in
            [("cam?key=1", "", "key=1"), ("cam", "key=1", "key=1"), ("cam?a=b?c=d", "e", "a=b?c=d&e"), ("cam", "", "")]
        {
            assert_eq!(joined(&query_of(&name.into()), &app.into()).reveal(), query);
        }
    }
}
