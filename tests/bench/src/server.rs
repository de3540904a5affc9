//! RTMP servers, ours and others, each on one core, with a configuration of its own for every run.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::bench::Settings;
use crate::process::{self, Cores};

/// Names the binary of SRS, which no package manager brings.
const SRS: &str = "MILLSTREAM_BENCH_SRS";
/// How often, and how many times, a server is asked whether it listens.
const KNOCK: Duration = Duration::from_millis(20);
const KNOCKS: usize = 500;
/// Clients that a server of another make is told to expect.
const CLIENTS: usize = 16_384;

/// A server and how it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `rtmpserversrc ! rtmpserversink` with one more setting of the sink, or none.
    Ours(&'static str),
    /// nginx with its RTMP module, one worker.
    Nginx,
    /// SRS as it is, which gathers 350 ms for each write.
    SrsMerging,
    /// SRS set for low latency.
    SrsQuick,
}

impl Kind {
    /// What it is called in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours(_) => "millstream",
            Self::Nginx => "nginx-rtmp",
            Self::SrsMerging => "SRS, 350 ms",
            Self::SrsQuick => "SRS, low latency",
        }
    }

    /// Nginx, and SRS where it is.
    pub(crate) fn peers() -> Vec<Self> {
        let srs = srs().map(|_| [Self::SrsMerging, Self::SrsQuick]);
        std::iter::once(Self::Nginx).chain(srs.into_iter().flatten()).collect()
    }

    fn command(self, settings: &Settings, address: SocketAddrV4, streams: usize) -> Result<Command> {
        match self {
            Self::Ours(more) => ours(settings, address, streams, more),
            Self::Nginx => nginx(settings, address),
            Self::SrsMerging => srs_command(settings, address, ""),
            Self::SrsQuick => srs_command(settings, address, SRS_QUICK),
        }
    }
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddrV4,
}

impl Server {
    /// Starts it on its core, for `streams` streams `live/s0`, `live/s1` and so on.
    ///
    /// # Errors
    /// When it does not listen.
    pub(crate) fn start(settings: &Settings, cores: Cores, kind: Kind, streams: usize) -> Result<Self> {
        let address = free_address(Ipv4Addr::LOCALHOST)?;
        Self::launch(settings, cores, kind.name(), kind.command(settings, address, streams)?, address)
    }

    /// Starts what listens at an address then, on its core.
    ///
    /// # Errors
    /// When it does not listen.
    pub(crate) fn launch(
        settings: &Settings,
        cores: Cores,
        name: &str,
        mut command: Command,
        address: SocketAddrV4,
    ) -> Result<Self> {
        let log = settings.log();
        let said = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        process::pin(cores.server)?;
        let child = command.spawn().with_context(|| format!("cannot start {name}"));
        process::pin(cores.client)?;
        let mut server = Self { child: child?, address };
        server.wait(name, &log)?;
        Ok(server)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&mut self, name: &str, log: &Path) -> Result<()> {
        for _ in 0..KNOCKS {
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                bail!("{name} ended with {status}: {}", said.trim());
            }
            std::thread::sleep(KNOCK);
        }
        bail!("{name} does not listen at {}", self.address);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that would be lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of an address of this machine that nobody has.
///
/// # Errors
/// When there is none.
pub(crate) fn free_address(ip: Ipv4Addr) -> Result<SocketAddrV4> {
    let free = TcpListener::bind((ip, 0))?.local_addr()?.port();
    Ok(SocketAddrV4::new(ip, free))
}

/// One stream by its name; more as they come, each an instance of the template.
fn ours(settings: &Settings, address: SocketAddrV4, streams: usize, more: &str) -> Result<Command> {
    let (any, app, stream) = if streams == 1 { ("s0", "live", "s0") } else { ("*", "${app}", "${stream}") };
    let more = more.split_once('=').map_or_else(String::new, |(name, value)| format!(", {name}: {value}"));
    let text = format!(
        "name: relay\nelements:\n\
         \x20 in: {{ element: rtmpserversrc, listen: \"{address}\", stream: \"{any}\" }}\n\
         \x20 out: {{ element: rtmpserversink, listen: \"{address}\", app: \"{app}\", stream: \"{stream}\"{more} }}\n\
         links:\n  - in ! out\n"
    );
    let file = folder(settings, "ours")?.join("relay.yaml");
    std::fs::write(&file, text)?;
    let mut command = Command::new(&settings.ours);
    command.arg("run").arg(file);
    Ok(command)
}

fn nginx(settings: &Settings, address: SocketAddrV4) -> Result<Command> {
    let files = settings.peers.join("deb/usr");
    let module = files.join("lib/nginx/modules/ngx_rtmp_module.so");
    let folder = folder(settings, "nginx")?;
    let conf = format!(
        "load_module {module}; daemon off; master_process off; pid {folder}/pid; error_log stderr error;\n\
         events {{ worker_connections {CLIENTS}; }}\n\
         rtmp {{ access_log off; server {{ listen {address}; chunk_size 4096; application live {{ live on; }} }} }}\n",
        module = absolute(&module)?.display(),
        folder = folder.display(),
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, conf)?;
    let mut command = Command::new(files.join("sbin/nginx"));
    command.arg("-p").arg(&folder).arg("-e").arg("stderr").arg("-c").arg(file);
    Ok(command)
}

/// What sets SRS for low latency.
const SRS_QUICK: &str = "tcp_nodelay on; min_latency on; play { gop_cache on; mw_latency 0; mw_msgs 0; mr off; } \
                         publish { mr off; }";

fn srs() -> Option<PathBuf> {
    std::env::var_os(SRS).map(PathBuf::from)
}

fn srs_command(settings: &Settings, address: SocketAddrV4, more: &str) -> Result<Command> {
    let program = srs().with_context(|| format!("{SRS} names no binary"))?;
    let folder = folder(settings, "srs")?;
    let conf = format!(
        "listen {}; max_connections {CLIENTS}; daemon off; srs_log_tank console; srs_log_level error; pid {}/pid;\n\
         http_api {{ enabled off; }} http_server {{ enabled off; }} stats {{ enabled off; }}\n\
         vhost __defaultVhost__ {{ {more} }}\n",
        address.port(),
        folder.display(),
    );
    let file = folder.join("srs.conf");
    std::fs::write(&file, conf)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file);
    Ok(command)
}

/// A folder of its own for a server, in the scratch space.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn folder(settings: &Settings, name: &str) -> Result<PathBuf> {
    let folder = settings.scratch.path(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    absolute(&folder)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("no absolute path of {}", path.display()))
}
