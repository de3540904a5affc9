//! What an element has found at its servers, kept alive.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::env::{BoxFuture, TaskHandle};
use millstream_core::{Env, Error, Result, TimeDelta};
use millstream_turn::client::{ClientError, Party};
use millstream_turn::shell::relay::RelaySettings;
use millstream_turn::uri::{Scheme, Uri};
use tokio::sync::{mpsc, watch};

use super::relayed::{Relayed, open};
use super::{IceServer, IceTransport};
use crate::ports::{Line, Ports};
use crate::session::Setup;

/// How long servers may take until an element begins without them. What they answer later serves those who come later.
pub const GATHER: TimeDelta = TimeDelta::from_secs(5);

/// How often a translation of addresses on the way is kept alive, and looked at (RFC 8445, 11: at least every 15 s).
const KEEP: TimeDelta = TimeDelta::from_secs(15);

/// The settings of an element that say how it is reached.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// `ice-servers`.
    pub servers: Vec<IceServer>,
    /// `ice-transport`.
    pub transport: IceTransport,
    /// `advertise`.
    pub advertise: Vec<IpAddr>,
}

impl Ways {
    /// Those of settings that may be left out.
    pub fn new(servers: Option<&[IceServer]>, transport: IceTransport, advertise: Option<&[IpAddr]>) -> Self {
        let (servers, advertise) = (servers.unwrap_or_default().to_vec(), advertise.unwrap_or_default().to_vec());
        Self { servers, transport, advertise }
    }
}

/// A way that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// What a server sees of one of our sockets.
    Reflexive {
        /// As the server sees it.
        mapped: SocketAddr,
        /// The socket.
        base: SocketAddr,
    },
    /// The address of a relay.
    Relayed(SocketAddr),
}

/// A server that is of no use, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its URL.
    pub server: String,
    /// What it did.
    pub error: ClientError,
}

impl Trouble {
    /// As a warning for people.
    pub fn error(&self) -> Error {
        let text = format!("{} is of no use: {}", self.server, self.error);
        let error = match self.error.party() {
            Party::Settings => Error::settings(text).on_property("ice-servers"),
            Party::Server | Party::Network => Error::io(text, std::io::ErrorKind::NotConnected.into()),
        };
        error.hint(self.error.hint())
    }
}

/// How an element is reached.
pub struct Reach {
    ports: Arc<Ports>,
    ways: Ways,
    /// There is something to be found, so that ICE is done in full (RFC 8445, 2.5: who is lite has its own addresses only).
    is_full: bool,
    found: Arc<Mutex<Vec<(usize, Found)>>>,
    /// What came of asking first; nothing before that is known.
    gathered: watch::Receiver<Option<Arc<[Trouble]>>>,
    _tasks: Vec<TaskHandle>,
    _relays: Vec<Relayed>,
}

/// What came of asking one.
type Answer = (usize, Result<Found, ClientError>);

/// What asks one server for one thing: which one of all, and where it tells what it found first.
struct Asker {
    number: usize,
    server: String,
    found: Arc<Mutex<Vec<(usize, Found)>>>,
    first: mpsc::UnboundedSender<Answer>,
}

impl Reach {
    /// Asks all servers, and goes on asking those that are of no use.
    ///
    /// # Errors
    /// When a server is none.
    pub fn open(env: &Env, ports: Arc<Ports>, ways: Ways) -> Result<Arc<Self>> {
        let found = Arc::<Mutex<Vec<_>>>::default();
        let (first, answers) = mpsc::unbounded_channel();
        let (mut tasks, mut relays, mut servers) = (Vec::new(), Vec::new(), Vec::new());
        for server in &ways.servers {
            let Some(uri) = server.used()? else { continue };
            for wanted in wanted(&uri, &ports, ways.transport) {
                let asker = Asker {
                    number: servers.len(),
                    server: uri.to_string(),
                    found: found.clone(),
                    first: first.clone(),
                };
                servers.push(uri.to_string());
                match wanted {
                    Wanted::Reflexive(base) => {
                        let keeps = keep(env.clone(), ports.clone(), uri.clone(), base, asker);
                        tasks.push(env.tasks.spawn(Box::pin(keeps)));
                    }
                    Wanted::Relay { is_v6 } => {
                        let from = ports.addresses().iter().map(SocketAddr::ip).collect();
                        let settings =
                            RelaySettings { uri: uri.clone(), credentials: server.credentials(), from, is_v6 };
                        let notice = Box::new(move |told: Result<_, _>| asker.tell(told.map(Found::Relayed)));
                        relays.push(open(env, &ports, settings, notice));
                    }
                }
            }
        }
        drop(first);
        let is_full = !servers.is_empty();
        let (done, gathered) = watch::channel(servers.is_empty().then(|| Arc::from([])));
        let gathers = gather(env.clone(), servers, answers);
        let gathers = async move { drop(done.send(Some(gathers.await.into()))) };
        tasks.push(env.tasks.spawn(Box::pin(gathers)));
        Ok(Arc::new(Self { ports, ways, is_full, found, gathered, _tasks: tasks, _relays: relays }))
    }

    /// Waits until every server has answered or [`GATHER`] is over: those that are of no use. Each costs what it would have given, until it is.
    pub fn gathered(&self) -> impl Future<Output = Arc<[Trouble]>> + Send + use<> {
        let mut gathered = self.gathered.clone();
        async move {
            let troubles = gathered.wait_for(Option::is_some).await;
            troubles.map_or_else(|_| Arc::from([]), |troubles| troubles.clone().unwrap_or_default())
        }
    }

    /// The same for who wants to know only that it is over; nothing if it is.
    pub(crate) fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        let is_over = self.gathered.borrow().is_some();
        let gathered = self.gathered();
        (!is_over).then(|| Box::pin(async move { drop(gathered.await) }) as BoxFuture<'static, ()>)
    }

    /// What has been found, and is there now.
    pub fn found(&self) -> Vec<Found> {
        lock(&self.found).iter().map(|(_, found)| *found).collect()
    }

    /// The sockets.
    pub fn ports(&self) -> &Arc<Ports> {
        &self.ports
    }

    /// A session's way to the sockets: see [`Ports::line`].
    pub fn line(&self, ufrag: &str) -> Line {
        self.ports.line(ufrag)
    }

    /// What a session is made with, that is reached so.
    #[must_use]
    pub fn setup(&self, setup: Setup) -> Setup {
        let (mut reflexive, mut relayed) = (Vec::new(), Vec::new());
        for found in self.found() {
            match found {
                Found::Reflexive { mapped, base } => reflexive.push((mapped, base)),
                Found::Relayed(address) => relayed.push(address),
            }
        }
        let lite = setup.lite && !self.is_full;
        match self.ways.transport {
            IceTransport::Relay => Setup { relayed, lite, ..setup },
            IceTransport::All => {
                let (addresses, advertise) = (self.ports.addresses(), self.ways.advertise.clone());
                Setup { addresses, advertise, reflexive, relayed, lite, ..setup }
            }
        }
    }
}

/// Waits for the first answer of each. One that is not reached may be starting, as elements of a pipeline start together: it is waited for too.
async fn gather(env: Env, servers: Vec<String>, mut answers: mpsc::UnboundedReceiver<Answer>) -> Vec<Trouble> {
    let mut troubles: Vec<Option<Trouble>> =
        servers.into_iter().map(|server| Some(Trouble { server, error: ClientError::Silent })).collect();
    let mut is_final = vec![false; troubles.len()];
    let late = env.clock.now() + GATHER;
    while is_final.contains(&false) {
        tokio::select! {
            biased;
            Some((number, answer)) = answers.recv() => {
                let (Some(trouble), Some(is_final)) = (troubles.get_mut(number), is_final.get_mut(number)) else { continue };
                *is_final = answer.as_ref().map_or_else(|error| error.party() != Party::Network, |_| true);
                match (answer, trouble.as_mut()) {
                    (Ok(_), _) => *trouble = None,
                    (Err(error), Some(trouble)) => trouble.error = error,
                    (Err(_), None) => {}
                }
            }
            () = env.clock.sleep_until(late) => break,
        }
    }
    let mut troubles: Vec<_> = troubles.into_iter().flatten().collect();
    troubles.dedup();
    troubles
}

enum Wanted {
    Reflexive(SocketAddr),
    Relay { is_v6: bool },
}

/// What a server is asked for: to see each socket, or for a relay of each kind of address that there are sockets of.
fn wanted(uri: &Uri, ports: &Ports, transport: IceTransport) -> Vec<Wanted> {
    let sockets = ports.addresses();
    match uri.scheme {
        Scheme::Stun if transport == IceTransport::Relay => Vec::new(),
        Scheme::Stun => sockets.into_iter().map(Wanted::Reflexive).collect(),
        Scheme::Turn => {
            let has = |is_v6: bool| sockets.iter().any(|socket| socket.is_ipv6() == is_v6);
            [false, true].into_iter().filter(|is_v6| has(*is_v6)).map(|is_v6| Wanted::Relay { is_v6 }).collect()
        }
    }
}

/// Asks what a server sees of a socket, again and again: the translation on the way stays, and if it changes, that is seen.
async fn keep(env: Env, ports: Arc<Ports>, uri: Uri, base: SocketAddr, asker: Asker) {
    loop {
        let seen = match env.net.resolve(&uri.host, uri.port).await {
            Ok(all) => match all.into_iter().find(|server| is_on_the_way(base, *server)) {
                Some(server) => ports.ask(&env, base, server, 0).await.map(|seen| seen.mapped),
                None => Err(ClientError::Unreachable(format!("it has no address that {} reaches", base.ip()))),
            },
            Err(error) => Err(ClientError::Unreachable(error.to_string())),
        };
        asker.tell(seen.map(|mapped| Found::Reflexive { mapped, base }));
        env.clock.sleep_until(env.clock.now() + KEEP).await;
    }
}

/// Whether a socket can reach a server at all.
fn is_on_the_way(base: SocketAddr, server: SocketAddr) -> bool {
    base.is_ipv4() == server.is_ipv4() && base.ip().is_loopback() == server.ip().is_loopback()
}

impl Asker {
    /// Takes what was found, or that nothing is there any more.
    fn tell(&self, told: Result<Found, ClientError>) {
        let mut found = lock(&self.found);
        let before = found.iter().position(|(number, _)| *number == self.number).map(|at| found.remove(at).1);
        match &told {
            Ok(now) => {
                found.push((self.number, *now));
                if before != Some(*now) {
                    tracing::info!(server = self.server, "reached by {now:?}");
                }
            }
            Err(error) if before.is_some() => tracing::warn!("{} is of no use any more: {error}", self.server),
            Err(error) => tracing::debug!("{} is of no use: {error}", self.server),
        }
        // Nobody waits for it any more, once the element has begun.
        let _ = self.first.send((self.number, told));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
