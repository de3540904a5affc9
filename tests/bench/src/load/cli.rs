//! `millstream-bench load`: the load against any server on this machine, its report as JSON.

use super::{Clip, Load, open_files, run};
use crate::process::{self, Cores};
use anyhow::Result;
use clap::Parser;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;

/// First argument that leads here.
pub(crate) const NAME: &str = "load";

/// RTMP publishers and players in one thread; prints what became of every frame as JSON.
#[derive(Parser)]
#[command(bin_name = "millstream-bench load", version)]
struct Cli {
    /// Where the server listens; a loopback address
    #[arg(long, default_value = "127.0.0.1:1935")]
    address: SocketAddrV4,
    /// An FLV file of H.264 and AAC to publish, again and again
    #[arg(long)]
    clip: PathBuf,
    #[arg(long, default_value = "live")]
    app: String,
    /// Name of the streams, with their number in place of {i}
    #[arg(long, default_value = "s{i}")]
    stream: String,
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    #[arg(long, default_value_t = 0)]
    players: usize,
    /// Of the players, so many read half of what the stream has
    #[arg(long, default_value_t = 0)]
    slow_players: usize,
    /// Publish as fast as the server takes it
    #[arg(long)]
    flat_out: bool,
    /// Publish so many times as fast as real time
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Connections begun in a second
    #[arg(long, default_value_t = 500.0)]
    joins: f64,
    /// Each player begins when the one before it has seen a picture
    #[arg(long)]
    one_by_one: bool,
    /// Seconds between publishers and players
    #[arg(long, default_value_t = 3.0)]
    settle: f64,
    /// Seconds between players and the window
    #[arg(long, default_value_t = 3.0)]
    warmup: f64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 10.0)]
    window: f64,
    /// Seconds for all to begin
    #[arg(long, default_value_t = 20.0)]
    patience: f64,
    /// Least milliseconds between two looks at the sockets; makes the client cheaper and adds to the latency
    #[arg(long, default_value_t = 0)]
    coalesce_ms: u64,
    /// Process of the server, to measure
    #[arg(long)]
    pid: Option<u32>,
    /// Run on the second core of those that this program may use; the server is to have the first
    #[arg(long)]
    pin: bool,
}

/// Everything from reading the arguments to printing the report.
///
/// # Errors
/// When the load cannot be put on the server.
pub(crate) fn main() -> Result<()> {
    let cli = Cli::parse_from(std::env::args_os().skip(1));
    anyhow::ensure!(cli.address.ip().is_loopback(), "loads go to loopback addresses only");
    open_files()?;
    if cli.pin {
        process::pin(Cores::look()?.client)?;
    }
    let load = Load {
        app: cli.app,
        stream: cli.stream,
        publishers: cli.publishers,
        players: cli.players,
        slow_players: cli.slow_players,
        flat_out: cli.flat_out,
        speed: cli.speed,
        joins: cli.joins,
        one_by_one: cli.one_by_one,
        settle: cli.settle,
        warmup: cli.warmup,
        window: cli.window,
        patience: cli.patience,
        coalesce_ms: cli.coalesce_ms,
        pid: cli.pid,
        ..Load::new(cli.address, Arc::new(Clip::load(&cli.clip)?))
    };
    println!("{}", serde_json::to_string_pretty(&run(&load)?)?);
    Ok(())
}
