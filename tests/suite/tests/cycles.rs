//! Pipelines with plugins, started and stopped again and again: neither memory nor threads grow.
//!
//! Memory is what of the heap is in use, which a plugin tells: pages that the allocator keeps say more about it than about leaks.
//! `MILLSTREAM_SOAK_SEEDS=1000`, as of `cargo xtask soak`, is ten thousand cycles of each.

use millstream_core::{MessageKind, Registry};
use millstream_generic::AppSinkHandle;
use millstream_graph::load_launch;
use millstream_runtime::{Pipeline, Runtime};
use millstream_tests::{peers, plugins, root};

/// What a cycle may leave behind, on an average: less than the smallest thing that it makes.
const BYTES_A_CYCLE: i64 = 100;
/// What caches of the allocator's, one for each thread, may differ between two readings.
const NOISE: i64 = 64 << 10;
/// Threads that may come in between: GLib keeps some for what is asked of it next, however many cycles there are.
const THREADS: u32 = 8;

struct World {
    _dir: tempfile::TempDir,
    registry: Registry,
    runtime: Runtime,
}

fn world(plugin: impl FnOnce(&std::path::Path)) -> World {
    let dir = tempfile::tempdir().expect("a directory");
    plugin(dir.path());
    let heap = root().join("tests/suite/plugins/heap.c");
    // `mallinfo2` is no part of C.
    let library = plugins::compile(&heap, "heap", &plugins::include(), dir.path(), &["-D_GNU_SOURCE"]);
    plugins::write_manifest(&library);
    let registry = plugins::registry(dir.path());
    World { _dir: dir, registry, runtime: Runtime::new().expect("threads") }
}

/// What the process has.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "for whoever reads it")]
struct Size {
    /// Of the heap, in use.
    bytes: i64,
    threads: u32,
    /// Pages, with those that the allocator keeps.
    resident_kib: u32,
}

impl World {
    fn start(&self, line: &str) -> Pipeline {
        let loaded = load_launch(line, &self.registry).unwrap_or_else(|e| panic!("{e}"));
        self.runtime.start(&loaded.graph).unwrap_or_else(|e| panic!("{e}"))
    }

    fn size(&self) -> Size {
        let mut pipeline = self.start("heapsrc ! fakesink");
        let mut bus = pipeline.bus().expect("the first to ask");
        self.runtime.block_on(pipeline.wait()).expect("it ends well");
        let mut said = std::iter::from_fn(|| bus.try_next());
        let bytes = said.find_map(|message| match message.kind {
            MessageKind::Element { name: "heap", fields } => fields.first()?.1.parse().ok(),
            _ => None,
        });
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        let number = |name: &str| field(name).and_then(|number| number.parse::<u32>().ok()).expect("a number");
        let (threads, resident_kib) = (number("Threads:"), number("VmRSS:"));
        Size { bytes: bytes.expect("told"), threads, resident_kib }
    }

    /// A fifth of the cycles fills caches; of the two halves of the rest neither may grow by what each cycle leaves behind.
    fn cycles(&self, short: u64, cycle: impl Fn()) {
        let seeds = std::env::var("MILLSTREAM_SOAK_SEEDS").ok().and_then(|n| n.parse::<u64>().ok());
        let all = seeds.map_or(short, |seeds| (10 * seeds).max(short));
        let run = |cycles: u64| {
            (0..cycles).for_each(|_| cycle());
            self.size()
        };
        let (warm, half) = (all / 5, all * 2 / 5);
        let sizes = [run(warm), run(half), run(half)];
        eprintln!("after {warm}, {} and {} cycles: {sizes:?}", warm + half, warm + 2 * half);
        let limit = BYTES_A_CYCLE * half as i64 + NOISE;
        assert!(sizes[2].bytes <= sizes[1].bytes + limit, "{sizes:?} grew by more than {limit} in {half} cycles");
        assert!(sizes[2].threads <= sizes[0].threads + THREADS, "{sizes:?}");
    }

    /// Runs a line to its end.
    fn run(&self, line: &str) {
        let mut pipeline = self.start(line);
        self.runtime.block_on(pipeline.wait()).expect("it ends well");
    }
}

#[test]
fn soak_a_pipeline_of_gstreamer_leaves_nothing_behind() {
    peers::need("gst-launch-1.0");
    let world = world(|dir| drop(plugins::gstreamer(dir)));
    let line = "gst pipeline=\"videotestsrc ! video/x-raw,width=64,height=48 ! videoconvert ! x264enc tune=zerolatency\" ! appsink name=out";
    world.cycles(600, || {
        let mut pipeline = world.start(line);
        let output: AppSinkHandle = pipeline.handle("out").expect("an appsink");
        assert!(output.blocking_next_buffer().is_some());
        pipeline.stop();
        while output.blocking_next_buffer().is_some() {}
        world.runtime.block_on(pipeline.wait()).expect("it ends well");
    });
}

#[test]
fn soak_elements_of_gstreamer_between_ours_leave_nothing_behind() {
    peers::need("gst-launch-1.0");
    let world = world(|dir| drop(plugins::gstreamer(dir)));
    world.cycles(600, || world.run("fakesrc num-buffers=5 ! gst pipeline=\"identity ! queue\" ! fakesink"));
}

#[test]
fn soak_the_template_in_rust_leaves_nothing_behind() {
    let world = world(|dir| drop(plugins::rust_template(dir)));
    world.cycles(2000, || world.run("fakesrc num-buffers=5 ! count every=2 ! fakesink"));
}

#[test]
fn soak_the_template_in_c_leaves_nothing_behind() {
    let world = world(|dir| drop(plugins::c_template(dir)));
    world.cycles(2000, || world.run("fakesrc num-buffers=5 ! ccount every=2 ! fakesink"));
}
