//! What the tests of the whole project share; at the root of the crate: the command line as a child process, and its
//! output. The tests themselves are in `tests/`:
//!
//! | test | proves |
//! | --- | --- |
//! | `contract` | every registered element keeps the element contract |
//! | `corpus` | every valid file is read as libavformat 62 reads it, and survives demux -> mux -> demux |
//! | `broken` | damaged input: no panic, no hang, bounded memory, nothing lost silently |
//! | `faults` | full disks, closed pipes, vanished input: one clear error, earlier parts valid |
//! | `plugins`, `plugins_sdk`, `plugins_bad`, `plugins_kit`, `plugins_abi` | plugins in Rust and C: found, described and run; every shape; every fault; the conformance kit; ABI 1.0 for ever |
//! | `guides` | the guides about plugins, followed to the letter |
//! | `gst_export` | our elements in GStreamer's pipelines: files, publishing, properties, errors |
//! | `gstreamer`, `transcode` | elements of GStreamer in our pipelines: media, times, errors, requests, and the pipelines that ship with them |
//! | `viewer` | the whole chain: camera, caption, RTMP, nginx as the CDN, HLS in a browser that shows the caption |
//! | `soak` | random graphs, limits and cancellations keep order and lose nothing uncounted |
//! | `templates` | a pipeline for each published stream: isolation, limits, names that are tricks |
//! | `interop` | foreign analysers and players are content with our output, and we with theirs |
//! | `trace`, `rtmp_trace` | conversations are drawn as they were, without secrets; those of the standard with ffmpeg |
//! | `discover_live` | `discover rtmp://…` says what a live stream carries, and what is wrong |
//! | `browser` | our HLS plays in Chromium with hls.js |
//! | `turn` | coturn's client relays through us |
//! | `publish_page` | a camera goes on air by the publish page, and refusals are said in words |
//! | `call` | two browsers talk to each other through our signaling |
//! | `rtmp_enhanced` | Enhanced RTMP with ffmpeg 9 in every direction |
//! | `rtmp_broken` | what is made to break a server disturbs no stream |
//! | `rtmp_servers` | nginx-rtmp and node-media-server pass on all that we publish |
//! | `whip`, `whep` | Chromium and ffmpeg publish over WHIP, Chromium plays over WHEP |
//! | `webrtc_network` | publishers and viewers of WebRTC on a network that loses, reorders and falls silent |
//! | `whip_http` | WHIP and WHEP by hand, row by row, with offers of real browsers |
//! | `all_peers` | OBS publishes to us, VLC plays from us; only with `cargo xtask test --all-peers` |
//!
//! | module | what |
//! | --- | --- |
//! | [`sim`] | runs a launch line on a virtual clock and files in memory, and keeps everything that came out |
//! | [`conversation`] | what RTMP peers said to each other, in order |
//! | [`elements`] | elements for tests: `collect`, `lookahead`, `tardy` |
//! | [`plugins`] | plugins for tests: the templates, built |
//! | [`program`] | runs a foreign program, with a time limit |
//! | [`live`] | programs that run beside a test, ports, and patience |
//! | [`peers`] | foreign programs as judges, and the files they are shown |
//! | [`webrtc`] | browsers that publish and play, requests by hand |
//! | [`world`] | pipelines against each other on a simulated network |
//! | [`rtmp`] | RTMP clients by hand, and elements to meet them |
//! | [`logs`] | what was logged, at every level |
//! | [`servers`] | foreign RTMP servers, and what they wrote |
//! | [`rtmp_server`] | an RTMP server that does what a test tells it |
//! | [`random`] | small seeded random numbers |

pub mod conversation;
pub mod elements;
pub mod live;
pub mod logs;
pub mod peers;
pub mod plugins;
pub mod program;
pub mod random;
pub mod rtmp;
pub mod rtmp_server;
pub mod servers;
pub mod sim;
pub mod webrtc;
pub mod world;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for something that takes milliseconds: long enough for a busy machine, and a test still ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/suite is two below the root").to_owned()
}

/// The command line, with `dir` as its working directory. `cargo xtask test` builds it first.
pub fn millstream(dir: &Path) -> Command {
    let test = std::env::current_exe().expect("a test is a file");
    let name = format!("millstream{}", std::env::consts::EXE_SUFFIX);
    let program = test.ancestors().skip(1).map(|dir| dir.join(&name)).find(|path| path.is_file());
    let mut command = Command::new(program.expect("the command line is built: `cargo build --package millstream`"));
    command.current_dir(dir).stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Said {
    /// Lines of standard error that begin an error.
    pub fn errors(&self) -> usize {
        self.err.lines().filter(|line| line.starts_with("error")).count()
    }
}

/// Runs the command line with arguments that white space separates.
pub fn run(dir: &Path, line: &str) -> Said {
    run_args(dir, &line.split_whitespace().collect::<Vec<_>>())
}

/// Runs the command line.
pub fn run_args(dir: &Path, args: &[&str]) -> Said {
    millstream(dir).args(args).output().expect("it starts").into()
}

/// Starts the command line in the background, its output kept.
pub fn spawn(dir: &Path, line: &str) -> Child {
    let mut command = millstream(dir);
    command.args(line.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// Waits for a child; fails the test if it takes for ever.
pub fn finish(mut child: Child) -> Said {
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            break status;
        }
        if Instant::now() > until {
            child.kill().expect("the child is ours");
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let read = |pipe: Option<&mut dyn Read>| {
        let mut text = String::new();
        pipe.map(|pipe| pipe.read_to_string(&mut text)).transpose().expect("text");
        text
    };
    let out = read(child.stdout.as_mut().map(|pipe| pipe as _));
    let err = read(child.stderr.as_mut().map(|pipe| pipe as _));
    Said { code: status.code().expect("no signal ended it"), out, err }
}

/// Waits until something is so; fails the test if it never is.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal by name, such as `INT`.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
}
