//! `filesink`: writes a file.

use std::path::{Path, PathBuf};

use millstream_core::env::WriteFile;
use millstream_core::item::SegmentFormat;
use millstream_core::registry::Resource;
use millstream_core::settings::units::ByteSize;
use millstream_core::{
    Buffer, BuildCx, Element, Env, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Payload, Result, Segment,
    Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::errors::file_error;

/// Bytes to gather before a write: enough to make the system call cheap beside the copy.
const DEFAULT_BUFFER: u64 = 256 << 10;

/// Most bytes to gather.
const MAX_BUFFER: u64 = 64 << 20;

/// Slices in one write; operating systems take 1024 at most (POSIX `IOV_MAX`).
const MAX_SLICES: usize = 1024;

/// Settings of `filesink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileSinkSettings {
    /// The file to write; `-` is standard output.
    pub location: PathBuf,
    /// Write behind what is in the file already.
    #[serde(default)]
    pub append: bool,
    /// Write to `location.part` and rename it at the end of the stream, so that `location` is always a whole file.
    #[serde(default = "default_atomic")]
    pub atomic: bool,
    /// Bytes to gather before they are written; 0 to write each buffer as it comes. Pipes get each buffer as it comes.
    #[serde(default = "default_buffer")]
    #[schemars(extend("x-maximum" = "64MiB"))]
    pub buffer_size: ByteSize,
}

fn default_atomic() -> bool {
    true
}

fn default_buffer() -> ByteSize {
    ByteSize(DEFAULT_BUFFER)
}

/// What is known of `filesink`.
pub fn factory() -> Factory {
    Factory::new("filesink", "Sink/File", "Writes a file, a pipe or standard output", build)
        .pad(PadTemplate::sink("sink", "ANY").random_write())
        .blocks_on_io()
        .checked(check)
        .rewrites_if(|settings: &FileSinkSettings| {
            !settings.append && settings.location.as_os_str() != "-" && !is_device(&settings.location)
        })
        .resources(|settings: &FileSinkSettings| match &settings.location {
            device if is_device(device) => Vec::new(),
            file => vec![Resource::WritesFile(file.clone())],
        })
        .details(
            "While it is written the file is called `NAME.part`; it gets its name when the stream has ended well. After \
             a failure the `.part` file stays. Pipes, devices, standard output and `append=true` are written directly; \
             there a muxer's rewriting of what it wrote before is left out with a warning.",
        )
        .example("fakesrc num-buffers=10 sizetype=fixed ! filesink location=/dev/null")
}

fn check(settings: &FileSinkSettings) -> Result<()> {
    match settings.location.as_os_str().is_empty() {
        true => Err(Error::settings("location is empty").on_property("location").hint("give it the name of a file")),
        false => Ok(()),
    }
}

fn build(settings: FileSinkSettings, cx: &BuildCx) -> Result<Element> {
    let location = settings.location;
    let is_file = location != Path::new("-") && !is_device(&location) && !cx.env.fs.is_special(&location);
    let target = if is_file && settings.atomic && !settings.append { part_of(&location) } else { location.clone() };
    let gather = if is_file { settings.buffer_size.0.min(MAX_BUFFER) as usize } else { 0 };
    Ok(Element::Transform(Box::new(FileSink {
        can_rewrite: is_file && !settings.append,
        append: settings.append && location != Path::new("-"),
        location,
        target,
        env: cx.env.clone(),
        file: None,
        queue: Queue { gather, ..Queue::default() },
        at: 0,
        beyond_reach: false,
        finished: false,
    })))
}

/// A device must never be replaced by a file, whatever the file system says of it. `/dev/shm` is memory that holds files.
fn is_device(path: &Path) -> bool {
    path.starts_with("/dev") && !path.starts_with("/dev/shm")
}

/// The name while it is written.
fn part_of(location: &Path) -> PathBuf {
    let mut name = location.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

struct FileSink {
    location: PathBuf,
    /// What is written: `location` or its part.
    target: PathBuf,
    append: bool,
    can_rewrite: bool,
    env: Env,
    file: Option<Box<dyn WriteFile>>,
    queue: Queue,
    /// Offset behind what was written and what waits.
    at: u64,
    /// The current segment rewrites what cannot be rewritten.
    beyond_reach: bool,
    finished: bool,
}

/// What has come and is not written yet.
#[derive(Default)]
struct Queue {
    payloads: Vec<Payload>,
    bytes: usize,
    slices: usize,
    gather: usize,
}

impl Transform for FileSink {
    fn start(&mut self, _: &mut Output) -> Result<()> {
        let fs = &self.env.fs;
        let opened = if self.append { fs.append(&self.target) } else { fs.create(&self.target) };
        self.file = Some(opened.map_err(|e| file_error("create", &self.target, e))?);
        Ok(())
    }

    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(buffer.into_inner(), out)?,
            Item::Segment(segment) if segment.format == SegmentFormat::Bytes => self.segment(&segment, out)?,
            Item::Eos => self.finish()?,
            _ => {}
        }
        Ok(Flow::Done)
    }
}

impl FileSink {
    fn buffer(&mut self, buffer: Buffer, out: &mut Output) -> Result<()> {
        if self.beyond_reach {
            out.dropped("output cannot be rewritten", buffer.payload.len() as u64, buffer.offset);
            return Ok(());
        }
        self.at = self.at.saturating_add(buffer.payload.len() as u64);
        self.queue.push(buffer.payload);
        if self.queue.is_full() { self.write() } else { Ok(()) }
    }

    /// Goes to the offset where the segment begins.
    fn segment(&mut self, segment: &Segment, out: &mut Output) -> Result<()> {
        self.beyond_reach = false;
        if segment.offset == self.at {
            return Ok(());
        }
        self.write()?;
        if !self.can_rewrite {
            self.beyond_reach = true;
            out.warn(
                Error::unsupported(format!("{} cannot be rewritten: its header stays as first written", self.name()))
                    .hint("write to a regular file, without append"),
            );
            return Ok(());
        }
        let done = self.file()?.seek(segment.offset);
        done.map_err(|e| self.failed("seek in", e))?;
        self.at = segment.offset;
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let queue = std::mem::take(&mut self.queue);
        let mut slices: Vec<&[u8]> = Vec::with_capacity(queue.slices);
        slices.extend(queue.payloads.iter().flat_map(Payload::slices).map(|slice| &slice[..]));
        let file = self.file()?;
        let done = slices.chunks(MAX_SLICES).try_for_each(|part| file.write_all(part));
        self.queue = queue.emptied();
        done.map_err(|e| self.failed("write", e))
    }

    fn finish(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        self.write()?;
        let done = self.file()?.finish();
        done.map_err(|e| self.failed("write", e))?;
        self.file = None;
        if self.target != self.location {
            let renamed = self.env.fs.rename(&self.target, &self.location);
            renamed.map_err(|e| self.failed("finish", e))?;
        }
        Ok(())
    }

    fn file(&mut self) -> Result<&mut dyn WriteFile> {
        match &mut self.file {
            Some(file) => Ok(file.as_mut()),
            None => Err(Error::bug("filesink is not open")),
        }
    }

    fn failed(&self, doing: &str, error: std::io::Error) -> Error {
        let error = file_error(doing, &self.location, error);
        if self.target == self.location {
            return error;
        }
        let kept = format!("what was written so far is in {}", self.target.display());
        let hint = error.hint_text().map_or(kept.clone(), |hint| format!("{hint}; {kept}"));
        error.hint(hint)
    }

    fn name(&self) -> String {
        if self.location == Path::new("-") { "standard output".to_owned() } else { self.location.display().to_string() }
    }
}

impl Drop for FileSink {
    /// A pipeline that was stopped or failed keeps what was written; an empty part is no use to anybody.
    fn drop(&mut self) {
        if self.finished || self.file.is_none() {
            return;
        }
        // Nobody is left to tell about a failure.
        let _ = self.write();
        let is_part = self.target != self.location;
        if is_part && self.env.fs.len(&self.target).is_ok_and(|len| len == 0) {
            let _ = self.env.fs.remove(&self.target);
        }
    }
}

impl Queue {
    fn push(&mut self, payload: Payload) {
        self.bytes += payload.len();
        self.slices += payload.slices().len();
        self.payloads.push(payload);
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.gather || self.slices >= MAX_SLICES
    }

    /// The same queue with its memory, without what was in it.
    fn emptied(mut self) -> Self {
        self.payloads.clear();
        Self { bytes: 0, slices: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use millstream_core::ErrorKind;
    use millstream_testkit::{Harness, TestEnv};

    fn sink(env: &TestEnv, settings: &str) -> Result<Harness> {
        Harness::builder(&factory()).env(env).settings(settings).build()
    }

    fn bytes(text: &'static str) -> Buffer {
        Buffer::new(Bytes::from_static(text.as_bytes()))
    }

    fn rewrite(offset: u64) -> Item {
        Item::Segment(Segment::bytes(offset).into())
    }

    #[test]
    fn the_file_gets_its_name_at_the_end() {
        let env = TestEnv::new();
        env.fs.insert("out.ts", *b"old");
        let mut harness = sink(&env, "location=out.ts").unwrap();
        harness.push("sink", rewrite(0)).unwrap();
        let payload: Payload = [&b"ab"[..], b"cd"].map(Bytes::from_static).into_iter().collect();
        harness.push_buffer("sink", Buffer::new(payload)).unwrap();
        assert_eq!(env.fs.get("out.ts").unwrap(), b"old", "whole at any time");
        harness.push_buffer("sink", bytes("ef")).unwrap();
        harness.eos().unwrap();
        assert_eq!(env.fs.get("out.ts").unwrap(), b"abcdef");
        assert_eq!(env.fs.paths(), [PathBuf::from("out.ts")]);
        assert_eq!(env.fs.log(), ["create out.ts.part", "rename out.ts.part -> out.ts"]);
        drop(harness);
        assert_eq!(env.fs.get("out.ts").unwrap(), b"abcdef");
    }

    #[test]
    fn a_byte_segment_rewrites() {
        let env = TestEnv::new();
        let mut harness = sink(&env, "location=out.flv").unwrap();
        for item in
            [rewrite(0), Item::buffer(bytes("head....tail")), rewrite(4), Item::buffer(bytes("BODY")), rewrite(12)]
        {
            harness.push("sink", item).unwrap();
        }
        harness.push_buffer("sink", bytes("!")).unwrap();
        harness.eos().unwrap();
        assert_eq!(env.fs.get("out.flv").unwrap(), b"headBODYtail!");
    }

    #[test]
    fn pipes_and_appended_files_are_written_directly_and_not_rewritten() {
        for (settings, old) in [("location=-", ""), ("location=pipe", ""), ("location=log append=true", "old ")] {
            let env = TestEnv::new();
            env.fs.insert("pipe", "");
            env.fs.make_special("pipe");
            env.fs.insert("log", old);
            let written = || match settings {
                "location=-" => env.fs.stdout(),
                "location=pipe" => env.fs.get("pipe").unwrap(),
                _ => env.fs.get("log").unwrap(),
            };
            let mut harness = sink(&env, settings).unwrap();
            harness.push("sink", rewrite(0)).unwrap();
            harness.push_buffer("sink", bytes("head")).unwrap();
            assert!(settings.contains("append") || written() == b"head", "a pipe is not kept waiting");
            harness.push("sink", rewrite(0)).unwrap();
            harness.push_buffer("sink", bytes("HEAD")).unwrap();
            harness.push("sink", rewrite(4)).unwrap();
            harness.push_buffer("sink", bytes("tail")).unwrap();
            harness.eos().unwrap();
            assert_eq!(written(), format!("{old}headtail").as_bytes(), "{settings}");
            assert_eq!((harness.warnings().len(), harness.drops[0].bytes), (1, 4), "{settings}");
        }
    }

    #[test]
    fn not_atomic_when_told() {
        let env = TestEnv::new();
        let mut harness = sink(&env, "location=out atomic=false buffer-size=0").unwrap();
        harness.push_buffer("sink", bytes("ab")).unwrap();
        assert_eq!(env.fs.get("out").unwrap(), b"ab");
        harness.eos().unwrap();
        assert_eq!(env.fs.log(), ["create out"]);
    }

    #[test]
    fn a_full_disk_keeps_what_was_written() {
        let env = TestEnv::new();
        env.fs.full_after(5);
        let mut harness = sink(&env, "location=out.ts buffer-size=4").unwrap();
        harness.push_buffer("sink", bytes("abcd")).unwrap();
        let error = harness.push_buffer("sink", bytes("efgh")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.to_string(), "cannot write out.ts: no space left on device");
        let hint = error.hint_text().unwrap();
        assert!(hint.contains("disk is full") && hint.ends_with("is in out.ts.part"), "{hint}");
        drop(harness);
        assert_eq!((env.fs.get("out.ts"), env.fs.get("out.ts.part").as_deref()), (None, Some(&b"abcde"[..])));
    }

    #[test]
    fn a_stopped_pipeline_keeps_its_part_unless_empty() {
        let env = TestEnv::new();
        let mut harness = sink(&env, "location=a").unwrap();
        harness.push_buffer("sink", bytes("abcd")).unwrap();
        drop(harness);
        drop(sink(&env, "location=b").unwrap());
        drop(sink(&env, "location=c atomic=false").unwrap());
        assert_eq!(env.fs.paths(), ["a.part", "c"].map(PathBuf::from));
        assert_eq!(env.fs.get("a.part").unwrap(), b"abcd");
    }

    #[test]
    fn what_cannot_be_created_is_said_at_start() {
        let env = TestEnv::new();
        env.fs.insert("locked/old", "");
        env.fs.make_unwritable("locked");
        for (location, hint) in
            [("locked/new", "right"), ("none/new", "directory none"), ("locked", "a file in that directory")]
        {
            let error = sink(&env, &format!("location={location}")).err().unwrap();
            assert!(error.kind() == ErrorKind::Io && error.message().contains(location), "{error}");
            assert!(error.hint_text().unwrap().contains(hint), "{:?}", error.hint_text());
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_named() {
        let env = TestEnv::new();
        env.fs.pipe_closes_after(2);
        let mut harness = sink(&env, "location=-").unwrap();
        let error = harness.push_buffer("sink", bytes("abcd")).unwrap_err();
        assert!(error.to_string().ends_with("broken pipe"), "{error}");
        assert!(error.hint_text().unwrap().contains("reads this pipe"));
    }

    #[test]
    fn files_are_exclusive_and_devices_are_not() {
        let factory = factory();
        let resources = |text: &str| {
            let settings =
                FileSinkSettings { location: text.into(), append: false, atomic: true, buffer_size: ByteSize(0) };
            factory.exclusive(&settings)
        };
        assert_eq!(resources("a/b"), [Resource::WritesFile("a/b".into())]);
        assert_eq!(resources("/dev/null"), []);
        assert_eq!(resources("/dev/shm/a"), [Resource::WritesFile("/dev/shm/a".into())]);
    }

    #[test]
    fn a_device_is_never_replaced() {
        let env = TestEnv::new();
        env.fs.insert("/dev/null", "");
        sink(&env, "location=/dev/null").unwrap().eos().unwrap();
        assert_eq!(env.fs.log(), ["create /dev/null"]);
        env.fs.insert("/dev/shm/other", "");
        let mut harness = sink(&env, "location=/dev/shm/a").unwrap();
        harness.push_buffer("sink", bytes("abcd")).unwrap();
        harness.push("sink", rewrite(0)).unwrap();
        harness.push_buffer("sink", bytes("A")).unwrap();
        harness.eos().unwrap();
        assert_eq!((env.fs.get("/dev/shm/a").as_deref(), harness.warnings().len()), (Some(&b"Abcd"[..]), 0));
    }

    #[test]
    fn many_small_buffers_are_written_together_and_in_order() {
        let env = TestEnv::new();
        let mut harness = sink(&env, "location=out buffer-size=1MiB").unwrap();
        let mut expected = Vec::new();
        for n in 0..3000_u32 {
            let text = n.to_string().into_bytes();
            expected.extend_from_slice(&text);
            harness.push_buffer("sink", Buffer::new(text)).unwrap();
        }
        harness.eos().unwrap();
        assert_eq!(env.fs.get("out").unwrap(), expected);
    }
}
