//! One publisher by itself, for loads whose players speak something else than RTMP.

use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Load;
use super::client::{Client, Measures, Stage};
use super::publisher::Publisher;

/// How long a server may take to let it publish.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes read at a time: a publisher hears little.
const READ: usize = 4096;

/// A publisher that is let.
#[derive(Debug)]
pub(crate) struct Alone {
    socket: TcpStream,
    client: Client,
    publisher: Publisher,
    measures: Measures,
    app: String,
}

impl Alone {
    /// Publishes the first stream of a load, whose time is `now` nanoseconds since its beginning.
    ///
    /// # Errors
    /// When the server is not there or does not let it.
    pub(crate) fn publish(load: &Load, now: u64) -> Result<Self> {
        let socket = TcpStream::connect(load.address).with_context(|| format!("cannot connect to {}", load.address))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut client = Client::new(true, 0, load.stream.clone(), now);
        let mut measures = Measures { window: (0, 0), latencies: Vec::new() };
        let (mut bytes, until) = ([0; READ], Instant::now() + PATIENCE);
        client.connected();
        while client.stage != Stage::Live {
            client.write_to(&socket)?;
            if Instant::now() > until {
                bail!("nobody lets it publish");
            }
            match (&socket).read(&mut bytes)? {
                0 => bail!("the server has closed the connection"),
                length => {
                    client.received(&bytes[..length], now, &load.app, &mut measures).map_err(anyhow::Error::msg)?
                }
            }
        }
        socket.set_nonblocking(true)?;
        let publisher = Publisher::new(load, client.stream_id, now);
        Ok(Self { socket, client, publisher, measures, app: load.app.clone() })
    }

    /// Sends what is due; gives the time of the next. `window` says which pictures count.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(crate) fn feed(&mut self, now: u64, window: (u64, u64)) -> Result<u64> {
        let due = self.publisher.feed(&mut self.client, now, window);
        self.client.write_to(&self.socket)?;
        let mut bytes = [0; READ];
        match (&self.socket).read(&mut bytes) {
            Ok(0) => bail!("the server has closed the connection"),
            Ok(length) => {
                let heard = self.client.received(&bytes[..length], now, &self.app, &mut self.measures);
                heard.map_err(anyhow::Error::msg)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(due)
    }

    /// Pictures that it has sent within the window.
    pub(crate) fn sent(&self) -> u64 {
        self.client.sent_in_window
    }
}
