//! Where the numbers come from: processor, kernel and the peers' versions.

use crate::bench::Settings;
use serde::Serialize;
use std::process::Command;

/// The machine and what was compared on it.
#[derive(Serialize)]
pub(crate) struct Machine {
    /// Processor model.
    pub(crate) processor: String,
    /// Processors that this process may use.
    pub(crate) cores: usize,
    /// Kernel release.
    pub(crate) kernel: String,
    /// First line that each program prints of its version.
    pub(crate) programs: Vec<String>,
}

impl Machine {
    /// Looks around. What cannot be found out is left empty.
    pub(crate) fn look(settings: &Settings) -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let nginx = settings.peers.join("deb/usr/sbin/nginx");
        let (ours, nginx) = (&*settings.ours, &*nginx.to_string_lossy());
        let programs = [(ours, "--version"), ("ffmpeg", "-version"), ("gst-launch-1.0", "--version"), (nginx, "-v")];
        Self {
            processor: model.map_or_else(String::new, |(_, name)| name.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            programs: programs.iter().map(|(program, flag)| version(program, flag)).collect(),
        }
    }

    /// One line a fact.
    pub(crate) fn markdown(&self) -> String {
        let Self { processor, cores, kernel, programs } = self;
        format!("{cores} x {processor}, Linux {kernel}; {}\n", programs.join("; "))
    }
}

fn version(program: &str, flag: &str) -> String {
    let said = Command::new(program).arg(flag).output().map(|output| [output.stdout, output.stderr].concat());
    let said = said.unwrap_or_default();
    let text = String::from_utf8_lossy(&said);
    let line = text.lines().next().unwrap_or_default();
    line.split(" Copyright").next().unwrap_or_default().to_owned()
}
