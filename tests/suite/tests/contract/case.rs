//! Every registered element as its example uses it, and how it is fed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use millstream_core::registry::LinkedPad;
use millstream_core::settings::AnySettings;
use millstream_core::{BuildCx, CapsSet, Direction, Element, Env, Factory, Item, PadId, Result};
use millstream_graph::load_launch;
use millstream_testkit::{Harness, MemFs, TestEnv, fixture};
use millstream_tests::elements;

use crate::input::{Input, stock};

/// An element as its example uses it.
pub(crate) struct Case {
    pub(crate) factory: Arc<Factory>,
    pub(crate) settings: millstream_graph::Settings,
    pub(crate) sinks: Vec<String>,
    pub(crate) srcs: Vec<String>,
}

/// How an element runs.
#[derive(PartialEq)]
pub(crate) enum Shape {
    Driven,
    BlockingSource,
    Other,
}

pub(crate) fn cases() -> Vec<Case> {
    let (all, ours) = (elements::registry(), millstream_elements::registry());
    let case = |factory: &Arc<Factory>| {
        let loaded = match load_launch(factory.example, &all) {
            Err(e) if e.to_string().contains("there is no element") => return None,
            r => r.unwrap_or_else(|e| panic!("example of {}:\n{e}", factory.name)),
        };
        let graph = loaded.graph;
        let at = graph.nodes.iter().position(|node| node.factory.name == factory.name);
        let at = at.unwrap_or_else(|| panic!("the example of {} does not use it", factory.name));
        Some(Case {
            factory: factory.clone(),
            settings: graph.nodes[at].settings.clone(),
            sinks: graph.links_into(at).map(|link| link.to.pad.clone()).collect(),
            srcs: graph.links_out_of(at).map(|link| link.from.pad.clone()).collect(),
        })
    };
    ours.iter().filter_map(case).collect()
}

impl Case {
    pub(crate) fn name(&self) -> &'static str {
        self.factory.name
    }

    pub(crate) fn settings(&self) -> AnySettings {
        self.settings.make().unwrap_or_else(|e| panic!("{}: {e}", self.name()))
    }

    pub(crate) fn build(&self, env: &Env) -> Result<Element> {
        let pads = |names: &[String]| {
            let pad = |(i, name): (usize, &String)| LinkedPad {
                id: PadId(i as u16),
                name: name.clone(),
                allowed: CapsSet::Any,
                random_write: false,
            };
            names.iter().enumerate().map(pad).collect()
        };
        let cx = BuildCx::new(self.name(), env.clone(), pads(&self.sinks), pads(&self.srcs));
        self.factory.build(self.settings(), &cx)
    }

    pub(crate) fn shape(&self) -> Shape {
        match self.build(&TestEnv::new().env).unwrap_or_else(|e| panic!("{}: {e}", self.name())) {
            Element::Transform(_) | Element::Aggregate(_) => Shape::Driven,
            Element::BlockingSource(_) => Shape::BlockingSource,
            Element::Source(_) | Element::Sink(_) | Element::Queue(_) => Shape::Other,
        }
    }

    pub(crate) fn harness(&self, env: &TestEnv) -> Harness {
        let mut builder = Harness::builder(&self.factory).parsed(self.settings()).env(env);
        for pad in &self.sinks {
            builder = builder.sink(pad);
        }
        for pad in &self.srcs {
            builder = builder.src(pad);
        }
        builder.build().unwrap_or_else(|e| panic!("{}: {e}", self.name()))
    }

    /// One input stream for each sink pad, in as many ways as the pads accept real streams.
    pub(crate) fn inputs(&self) -> Vec<Vec<Input>> {
        let per_pad: Vec<Vec<Input>> = self.sinks.iter().map(|pad| self.inputs_of(pad)).collect();
        let ways = per_pad.iter().map(Vec::len).max().unwrap_or(0);
        (0..ways).map(|way| per_pad.iter().map(|inputs| inputs[way % inputs.len()].clone()).collect()).collect()
    }

    pub(crate) fn inputs_of(&self, pad: &str) -> Vec<Input> {
        let template = self.factory.template(Direction::Sink, pad).unwrap_or_else(|| panic!("{}: {pad}", self.name()));
        if matches!(template.caps, CapsSet::Any) {
            return vec![Input::opaque()];
        }
        let fitting: Vec<Input> = stock().iter().filter(|input| template.caps.accepts(&input.caps)).cloned().collect();
        if !fitting.is_empty() {
            return fitting;
        }
        // No real stream of this kind: at least the order of items and the end are checked, on bytes without meaning.
        let text = template.caps.to_string();
        let media = text.split([',', ';']).next().unwrap_or_default();
        let caps = media.parse().unwrap_or_else(|e| panic!("{media}: {e}"));
        vec![Input { caps, ..Input::opaque() }]
    }

    pub(crate) fn template_of(&self, pad: &str) -> &CapsSet {
        &self.factory.template(Direction::Src, pad).unwrap_or_else(|| panic!("{}: {pad}", self.name())).caps
    }
}
/// Files that examples read.
pub(crate) fn example_files() -> MemFs {
    let fs = MemFs::new();
    let fixtures = millstream_tests::root().join("tests/fixtures");
    for factory in millstream_elements::registry().iter() {
        for word in factory.example.split_whitespace() {
            let Some(path) = word.strip_prefix("location=") else { continue };
            let (name, extension) = (Path::new(path).file_name(), Path::new(path).extension());
            let fixture_name = match (name.and_then(|n| n.to_str()), extension.and_then(|e| e.to_str())) {
                (Some(name), _) if fixtures.join(name).is_file() => name,
                (_, Some("ts" | "m2ts")) => "h264b_aac48s_10s.ts",
                (_, Some("mp4" | "m4a")) => "h264b_aac48s_2s_plain.mp4",
                _ => "h264b_aac48s_10s.flv",
            };
            fs.insert(path, std::fs::read(fixture(fixture_name)).unwrap_or_else(|e| panic!("{fixture_name}: {e}")));
        }
    }
    fs
}

pub(crate) fn test_env() -> TestEnv {
    let env = TestEnv::new();
    env.fs.insert("/dev/null", []);
    env.fs.make_special("/dev/null");
    let files = example_files();
    for path in files.paths() {
        env.fs.insert(&path, files.get(&path).unwrap_or_default());
    }
    env
}

/// Feeds every sink pad its input, the pads in turns as a demuxer would.
pub(crate) fn feed(harness: &mut Harness, sinks: &[String], inputs: &[Input]) -> Result<()> {
    let streams: Vec<Vec<Item>> = sinks.iter().zip(inputs).map(|(pad, input)| input.items(pad)).collect();
    let longest = streams.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..longest {
        for (pad, stream) in sinks.iter().zip(&streams) {
            if let Some(item) = stream.get(at) {
                harness.push(pad, item.clone())?;
            }
        }
    }
    Ok(())
}

/// Runs `check` for every element that takes input, with every way to feed it.
pub(crate) fn each_input(check: impl Fn(&Case, &[Input])) {
    for case in cases() {
        if case.shape() == Shape::Driven {
            for inputs in case.inputs() {
                let caps: Vec<String> = inputs.iter().map(|input| input.caps.to_string()).collect();
                let outcome = catch_unwind(AssertUnwindSafe(|| check(&case, &inputs)));
                assert!(outcome.is_ok(), "{} fed with {caps:?}: see above", case.name());
            }
        }
    }
}

/// What came out of one pad, in order.
pub(crate) fn pad_items(harness: &Harness, pad: &str) -> Vec<Item> {
    harness.items().filter(|(from, _)| *from == pad).map(|(_, item)| item.clone()).collect()
}
/// Elements with one sink pad: what they do not understand has somewhere to go.
pub(crate) fn has_one_way(case: &Case) -> bool {
    case.sinks.len() == 1 && !case.srcs.is_empty()
}
