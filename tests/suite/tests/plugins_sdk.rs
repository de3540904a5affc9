//! Elements of every shape, made with the SDK: what they promise, and what becomes of them when they fail.

use std::path::Path;

use millstream_core::{Error, Item, MessageKind, Registry};
use millstream_generic::AppSinkHandle;
use millstream_graph::load_launch;
use millstream_runtime::{Pipeline, Runtime};
use millstream_tests::plugins::{self, run_with};

struct World {
    dir: tempfile::TempDir,
    registry: Registry,
    runtime: Runtime,
}

/// A runtime with the elements of the plugin for tests.
fn world() -> World {
    let dir = tempfile::tempdir().expect("a directory");
    plugins::test_plugin(dir.path());
    let registry = plugins::registry(dir.path());
    World { dir, registry, runtime: Runtime::new().expect("threads") }
}

/// What became of a pipeline.
struct Ran {
    result: Result<(), Error>,
    /// Element messages as `element:name field=value`, drops as `element:dropped reason`.
    said: Vec<String>,
}

impl World {
    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn start(&self, line: &str) -> Pipeline {
        let loaded = load_launch(line, &self.registry).unwrap_or_else(|e| panic!("{e}"));
        self.runtime.start(&loaded.graph).unwrap_or_else(|e| panic!("{e}"))
    }

    fn finish(&self, mut pipeline: Pipeline) -> Ran {
        let mut bus = pipeline.bus().expect("the first to ask");
        let result = self.runtime.block_on(pipeline.wait());
        let mut said = Vec::new();
        while let Some(message) = bus.try_next() {
            match message.kind {
                MessageKind::Element { name, fields } => {
                    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    said.push(format!("{}:{name} {}", message.element, fields.join(" ")));
                }
                MessageKind::Dropped(dropped) => said.push(format!("{}:dropped {}", message.element, dropped.reason)),
                _ => {}
            }
        }
        Ran { result, said }
    }

    fn run(&self, line: &str) -> Ran {
        self.finish(self.start(line))
    }

    /// Everything that a line ending in `appsink name=out` gives: all bytes of its buffers, and its items in words.
    fn collect(&self, line: &str) -> (Vec<Vec<u8>>, Vec<Item>) {
        let mut pipeline = self.start(line);
        let out: AppSinkHandle = pipeline.handle("out").expect("an appsink");
        let (mut buffers, mut items) = (Vec::new(), Vec::new());
        while let Some(item) = out.blocking_next() {
            if let Item::Buffer(buffer) = &item {
                buffers.push(buffer.payload.contiguous().to_vec());
            }
            items.push(item);
        }
        self.finish(pipeline).result.unwrap_or_else(|e| panic!("{e}"));
        (buffers, items)
    }
}

#[test]
fn a_panic_in_every_call_becomes_the_error_of_the_element() {
    let world = world();
    for place in ["create", "start", "buffer", "event", "resume", "request", "wake"] {
        // Slow enough for a request to come while it runs.
        let line =
            format!("testsrc num-buffers=20 ends=true wait=5 ! testfault name=it place={place} ! queue ! testsink");
        let loaded = load_launch(&line, &world.registry).unwrap_or_else(|e| panic!("{e}"));
        let error = match world.runtime.start(&loaded.graph) {
            Ok(pipeline) => world.finish(pipeline).result.expect_err(place),
            Err(error) => error,
        };
        let told = error.to_string().to_lowercase();
        assert!(told.starts_with(&format!("it: panicked: at {place}, as it was told")), "{place}: {told}");
    }
    // Where there is nobody to hear of it, it ends there.
    for place in ["stop", "destroy"] {
        let ran = world.run(&format!("fakesrc num-buffers=20 ! testfault place={place} ! fakesink"));
        assert!(ran.result.is_ok(), "{place}");
    }
    assert!(world.run("fakesrc num-buffers=20 ! testfault ! fakesink").result.is_ok(), "and the plugin still works");
}

#[test]
fn a_panic_in_every_call_of_every_shape_becomes_the_error_of_the_element() {
    let world = world();
    for (call, line) in [
        ("start", "fakesrc num-buffers=20 ! testpanicmux name=it panics=start ! fakesink"),
        ("step", "fakesrc num-buffers=20 ! testpanicmux name=it panics=step ! fakesink"),
        ("request", "testsrc num-buffers=20 ends=true wait=5 ! testpanicmux name=it panics=request ! queue ! testsink"),
        ("start", "testpanicsrc name=it panics=start ! fakesink"),
        ("produce", "testpanicsrc name=it panics=produce ! fakesink"),
        ("request", "testpanicsrc name=it panics=request ! testsink"),
        ("start", "testsrc num-buffers=20 ! testpanicsink name=it panics=start"),
        ("buffer", "testsrc num-buffers=20 ! testpanicsink name=it panics=buffer"),
        ("event", "testsrc num-buffers=20 ! testpanicsink name=it panics=event"),
        ("wake", "testsrc num-buffers=20 ! testpanicsink name=it panics=wake"),
    ] {
        let error = world.run(line).result.expect_err(line);
        assert_eq!(error.to_string(), format!("it: panicked: in {call}, as it was told"), "{line}");
    }
    let stopped = world.start("testpanicsrc name=it panics=drain ! fakesink");
    stopped.stopper().stop();
    let error = world.finish(stopped).result.expect_err("it is drained");
    assert_eq!(error.to_string(), "it: panicked: in drain, as it was told");
}

#[test]
fn an_end_that_a_source_says_itself_counts_once_and_what_follows_is_left_out() {
    let world = world();
    let source = "testsrc name=it num-buffers=3 ends=true says-end=true";
    for rest in ["testsink", "queue ! testsink", "testfault ! testsink", "testworker ! testsink"] {
        let ran = world.run(&format!("{source} ! {rest}"));
        assert!(ran.result.is_ok(), "{rest}: {:?}", ran.result);
        let counted = |said: &&String| said.contains(":taken") || said.contains(":dropped");
        let mut said: Vec<&String> = ran.said.iter().filter(counted).collect();
        said.sort();
        assert_eq!(said, ["it:dropped after the end of the stream", "testsink0:taken buffers=3"], "{rest}");
    }
}

#[test]
fn an_error_crosses_with_kind_hint_and_place() {
    let world = world();
    let error = world.run("fakesrc num-buffers=2 ! testfault name=it place=buffer kind=error ! fakesink").result;
    let error = error.expect_err("it fails");
    assert_eq!(error.to_string(), "it: the input is not to its taste (at byte 7)");
    assert_eq!((error.kind(), error.hint_text()), (millstream_core::ErrorKind::Malformed, Some("give it another")));
}

#[test]
fn an_element_fails_from_a_thread_of_its_own() {
    let world = world();
    let error = world.run("fakesrc is-live=true ! testfault name=it place=thread ! fakesink").result;
    assert_eq!(error.expect_err("it fails").to_string(), "it: its device is gone");
}

#[test]
fn a_source_that_waits_in_its_call_is_heard_and_fails_from_another_thread() {
    let world = world();
    let ran = world.run("testsrc name=it fails-elsewhere=true ! fakesink");
    assert_eq!(ran.result.expect_err("it fails").to_string(), "it: the device is gone");
    assert_eq!(ran.said, ["it:elsewhere "]);
}

#[test]
fn what_goes_through_a_thread_of_the_plugins_comes_out_in_order() {
    let world = world();
    let (buffers, items) = world.collect("testsrc num-buffers=500 ends=true ! testworker ! appsink name=out");
    let numbers: Vec<u64> = buffers.iter().map(|b| u64::from_be_bytes(b[..].try_into().expect("a number"))).collect();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    let before: Vec<&str> = items.iter().map(Item::name).take_while(|name| *name != "buffer").collect();
    assert_eq!(before, ["stream-start", "caps", "segment"]);
}

#[test]
fn an_element_with_many_pads_keeps_them_apart() {
    let world = world();
    let line = "testworker name=w testsrc num-buffers=30 ends=true ! w. testsrc num-buffers=200 ends=true ! w. \
                w. ! testsink name=a w. ! testsink name=b";
    let ran = world.run(line);
    ran.result.unwrap_or_else(|e| panic!("{e}"));
    for taken in ["a:taken buffers=30", "b:taken buffers=200"] {
        assert!(ran.said.iter().any(|said| said == taken), "{taken} in {:?}", ran.said);
    }
    let error = load_launch("testsrc ! testworker name=w w. ! fakesink w. ! fakesink", &world.registry);
    let error = world.runtime.start(&error.unwrap_or_else(|e| panic!("{e}")).graph).err().expect("it cannot be built");
    assert!(error.to_string().contains("as many source pads as sink pads"), "{error}");
}

#[test]
fn a_source_that_waits_is_interrupted_by_stop_and_sends_what_it_holds() {
    let world = world();
    let mut pipeline = world.start("testsrc num-buffers=3 ! appsink name=out");
    let out: AppSinkHandle = pipeline.handle("out").expect("an appsink");
    let mut buffers = Vec::new();
    while buffers.len() < 3 {
        buffers.extend(out.blocking_next_buffer());
    }
    pipeline.stopper().stop();
    let last = out.blocking_next_buffer().expect("what it holds");
    assert_eq!(&last.payload.contiguous()[..], b"the end.");
    assert!(out.blocking_next_buffer().is_none());
    assert!(world.finish(pipeline).result.is_ok());
}

#[test]
fn a_request_reaches_a_source_that_waits() {
    let world = world();
    let mut pipeline = world.start("testsrc name=it num-buffers=1 ! testsink name=sink");
    let mut bus = pipeline.bus().expect("the first to ask");
    let heard = world.runtime.block_on(async {
        while let Some(message) = bus.next().await {
            if let MessageKind::Element { name: "request", fields } = message.kind {
                return Some(fields);
            }
        }
        None
    });
    assert_eq!(heard, Some(vec![("name", "key-frame".to_owned())]));
    pipeline.stopper().stop();
    assert!(world.runtime.block_on(pipeline.wait()).is_ok());
}

/// Threads of this process that belong to elements of plugins.
fn plugin_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| ["plugin", "plugin-stop"].contains(&name.trim())).count()
}

#[test]
fn elements_that_wait_leave_when_another_one_fails() {
    let world = world();
    let line = "testsrc num-buffers=3 wait=10 ! testfault name=it place=buffer kind=error ! queue ! testsink wait=1";
    let error = world.run(line).result.expect_err("one fails");
    assert!(error.to_string().starts_with("it: the input is not to its taste"), "{error}");
    millstream_tests::until("threads of elements have ended", || plugin_threads() == 0);
}

#[test]
fn a_sink_that_waits_takes_everything_and_reports_lateness() {
    let world = world();
    let ran = world.run("testsrc num-buffers=40 ends=true ! testsink name=it wait=1");
    assert!(ran.result.is_ok());
    assert!(ran.said.contains(&"it:taken buffers=40".to_owned()), "{:?}", ran.said);
    assert!(ran.said.contains(&"it:late count=1 ns=3000000 most-ns=3000000".to_owned()), "{:?}", ran.said);
}

#[test]
fn a_call_that_never_returns_is_left_behind_and_the_program_ends() {
    let world = world();
    let said = run_with(world.path(), "launch testsrc num-buffers=1 stubborn=true ! testfault place=buffer ! fakesink");
    assert!(said.code == 1 && said.err.contains("testfault0: panicked"), "{}", said.err);
    assert!(said.err.contains("testsrc0: the plugin `test` did not return from a call in time"), "{}", said.err);
}

#[test]
fn buffers_are_changed_without_a_change_to_others() {
    let world = world();
    let source = "testsrc num-buffers=3 ends=true";
    let (plain, _) = world.collect(&format!("{source} ! appsink name=out"));
    let inverted: Vec<Vec<u8>> = plain.iter().map(|bytes| bytes.iter().map(|byte| !byte).collect()).collect();
    let of = |how: &str| world.collect(&format!("{source} ! testedit how={how} ! appsink name=out"));
    assert_eq!(of("wrap").0, plain);
    assert_eq!(of("invert").0, inverted);
    assert_eq!(of("host").0, inverted);
    let halves: Vec<Vec<u8>> = plain.iter().flat_map(|b| [b[..4].to_vec(), b[4..].to_vec()]).collect();
    assert_eq!(of("halve").0, halves);
    let twice: Vec<Vec<u8>> = plain.iter().zip(&inverted).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    assert_eq!(of("twice").0, twice);
    let times: Vec<i64> = of("later").1.iter().filter_map(|item| Some(item.dts_or_pts()?.millis())).collect();
    assert_eq!(times, [0, 1, 2], "dts stays, and orders");
    let (_, items) = of("later");
    let shown = items.iter().filter_map(|item| if let Item::Buffer(b) = item { Some(b.pts?.millis()) } else { None });
    assert_eq!(shown.collect::<Vec<_>>(), [1000, 1001, 1002]);
    // `tee` shares the bytes: what one branch inverts, the other still has.
    let both =
        format!("{source} ! tee name=t t. ! queue ! testedit how=invert ! fakesink t. ! queue ! appsink name=out");
    assert_eq!(world.collect(&both).0, plain);
}

#[test]
fn elements_that_are_known_only_on_the_machine_are_asked_for_and_kept() {
    let world = world();
    let page = run_with(world.path(), "inspect dyn/pass1");
    assert!(
        page.out.starts_with("dyn/pass1: Known only on the machine") && page.out.contains("default 1.5"),
        "{}",
        page.err
    );
    for line in [
        "launch fakesrc num-buffers=3 ! dyn/pass0 gain=2 ! fakesink",
        "launch fakesrc num-buffers=3 ! pass1 ! fakesink",
        "check --launch fakesrc num-buffers=3 ! pass1 gain=2.5 ! fakesink",
    ] {
        assert_eq!(run_with(world.path(), line).code, 0, "{line}");
    }
    let unknown = run_with(world.path(), "launch fakesrc ! dyn/pass7 ! fakesink");
    assert!(unknown.code == 2 && unknown.err.contains("there is no element `dyn/pass7`"), "{}", unknown.err);
    let listed = run_with(world.path(), "inspect").out;
    assert!(listed.contains("dyn/pass0") && listed.contains("dyn/pass1") && !listed.contains("dyn/pass2"), "{listed}");
    // Kept: the answers are files of a folder that the stamp names. Another stamp, other answers.
    let mut more = plugins::command(world.path());
    let more = more.env("MILLSTREAM_TEST_DYNAMIC", "5").arg("inspect").output().expect("it starts");
    assert!(String::from_utf8_lossy(&more.stdout).contains("dyn/pass4"));
    let kept = std::fs::read_dir(world.path().join("cache/millstream/plugins")).expect("answers are kept").count();
    assert_eq!(kept, 2, "a folder for each stamp");
}

#[test]
fn starting_and_stopping_again_and_again_leaves_nothing() {
    let world = world();
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let round = || {
        let pipeline =
            world.start("testsrc num-buffers=5 ends=true ! testworker ! testedit how=halve ! queue ! testsink");
        world.finish(pipeline).result.unwrap_or_else(|e| panic!("{e}"));
    };
    (0..10).for_each(|_| round());
    let before = threads();
    (0..100).for_each(|_| round());
    let after = threads();
    assert!(after <= before + 2, "{before} threads became {after}");
}

#[test]
fn a_newer_build_runs_beside_the_older_one() {
    let world = world();
    let running = world.start("fakesrc is-live=true ! testfault ! fakesink");
    // Another file under the same name, as a linker writes it.
    let library = world.path().join(plugins::library("millstream_test_plugin"));
    let newer = world.path().join("newer");
    std::fs::copy(&library, &newer).expect("copied");
    std::fs::rename(&newer, &library).expect("replaced");
    assert!(world.run("fakesrc num-buffers=20 ! testfault ! fakesink").result.is_ok());
    running.stopper().stop();
    assert!(world.finish(running).result.is_ok());
}
