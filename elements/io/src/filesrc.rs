//! `filesrc`: reads a file.

use std::path::PathBuf;

use millstream_core::env::ReadFile;
use millstream_core::item::SeekTo;
use millstream_core::settings::units::ByteSize;
use millstream_core::{
    BlockPool, BlockingSource, Buffer, BufferFlags, BuildCx, Element, Env, Error, Factory, Item, Output, PadId,
    PadTemplate, Produce, Request, Result, Segment, StreamInfo,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::errors::file_error;

/// Bytes in a read when the user does not say: large enough that the system call costs nothing beside the copy, small
/// enough that a few blocks fit the processor's cache.
const DEFAULT_BLOCK: u64 = 1 << 20;

/// Largest block: beyond it nothing gets faster.
const MAX_BLOCK: u64 = 64 << 20;

/// Blocks to remember: one that is being filled, and those that a demuxer and a muxer still hold slices of.
const POOLED_BLOCKS: usize = 4;

/// Largest random access read: more than any index or sample has, and too little to exhaust the memory.
const MAX_RANDOM_READ: u32 = 256 << 20;

/// Settings of `filesrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileSrcSettings {
    /// The file to read; `-` is standard input.
    pub location: PathBuf,
    /// Bytes to read at a time.
    #[serde(default = "default_block")]
    #[schemars(extend("x-minimum" = "1", "x-maximum" = "64MiB"))]
    pub blocksize: ByteSize,
    /// Begins again at the end, for ever: the demuxer behind it closes the step back in time. Needs a file that can seek.
    #[serde(default, rename = "loop")]
    pub repeat: bool,
}

fn default_block() -> ByteSize {
    ByteSize(DEFAULT_BLOCK)
}

/// What is known of `filesrc`.
pub fn factory() -> Factory {
    Factory::new("filesrc", "Source/File", "Reads a file, a pipe or standard input", build)
        .pad(PadTemplate::src("src", "ANY").doc("The bytes, each buffer with its offset."))
        .blocks_on_io()
        .details(
            "Announces no caps: put caps behind it (`filesrc location=a ! video/mpegts ! ...`) where the next element \
             cannot tell what the bytes are. A file that becomes shorter while it is read ends the stream with an error.",
        )
        .example("filesrc location=in.flv ! fakesink")
}

fn build(settings: FileSrcSettings, cx: &BuildCx) -> Result<Element> {
    let block = settings.blocksize.0.clamp(1, MAX_BLOCK) as usize;
    Ok(Element::BlockingSource(Box::new(FileSrc {
        location: settings.location,
        env: cx.env.clone(),
        pool: BlockPool::new(block, POOLED_BLOCKS),
        repeat: settings.repeat,
        file: None,
        at: 0,
        len: None,
        discont: false,
    })))
}

struct FileSrc {
    location: PathBuf,
    env: Env,
    pool: BlockPool,
    /// Begins again at the end.
    repeat: bool,
    file: Option<Box<dyn ReadFile>>,
    /// Offset of the next block.
    at: u64,
    /// Length when it was opened; `None` for what cannot seek.
    len: Option<u64>,
    /// The next block does not continue the one before.
    discont: bool,
}

impl BlockingSource for FileSrc {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        let file = self.env.fs.open(&self.location).map_err(|e| file_error("read", &self.location, e))?;
        self.len = file.len();
        if self.repeat && self.len.is_none() {
            return Err(self.cannot_seek().on_property("loop"));
        }
        self.file = Some(file);
        let id = self.location.display().to_string();
        out.push(PadId::FIRST, Item::StreamStart(StreamInfo { id, language: None }.into()));
        out.push(PadId::FIRST, Item::Segment(Segment::bytes(0).into()));
        Ok(())
    }

    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        let max = self.pool.block_size();
        let mut block = self.pool.take();
        let read = self.file()?.read(&mut block, max);
        let n = read.map_err(|e| file_error("read", &self.location, e).at(self.at))?;
        if n == 0 {
            self.check_length()?;
            // What is empty would be begun again without end.
            if !self.repeat || self.at == 0 {
                return Ok(Produce::Eos);
            }
            self.file()?.seek(0).map_err(|e| file_error("seek in", &self.location, e))?;
            (self.at, self.discont) = (0, true);
            return Ok(Produce::More);
        }
        let mut buffer = Buffer::new(self.pool.freeze(block));
        buffer.offset = Some(self.at);
        buffer.flags.set(BufferFlags::DISCONT, std::mem::take(&mut self.discont));
        self.at += n as u64;
        out.buffer(PadId::FIRST, buffer);
        Ok(Produce::More)
    }

    fn request(&mut self, _: PadId, request: Request, out: &mut Output) -> Result<()> {
        match request {
            Request::Seek { to: SeekTo::Byte(offset), epoch } => self.seek(offset, epoch, out),
            Request::Seek { to: SeekTo::Time(_), .. } => {
                out.warn(Error::unsupported(
                    "a file of bytes cannot seek to a time; the demuxer behind it would have to",
                ));
                Ok(())
            }
            Request::Read { offset, len } => self.read_at(offset, len, out),
            _ => Ok(()),
        }
    }
}

impl FileSrc {
    fn file(&mut self) -> Result<&mut dyn ReadFile> {
        match &mut self.file {
            Some(file) => Ok(file.as_mut()),
            None => Err(Error::bug("filesrc was not started")),
        }
    }

    /// Tells the end of a file from a file that was cut while it was read.
    fn check_length(&self) -> Result<()> {
        match self.len.filter(|len| self.at < *len) {
            Some(len) => Err(Error::io(
                format!("{} ended early", self.location.display()),
                std::io::Error::new(
                    std::io::ErrorKind::UnexpectedEof,
                    format!("it had {len} bytes when it was opened"),
                ),
            )
            .at(self.at)),
            None => Ok(()),
        }
    }

    fn seek(&mut self, offset: u64, epoch: u64, out: &mut Output) -> Result<()> {
        let Some(len) = self.len else {
            out.warn(self.cannot_seek());
            return Ok(());
        };
        let offset = offset.min(len);
        let done = self.file()?.seek(offset);
        done.map_err(|e| file_error("seek in", &self.location, e).at(offset))?;
        (self.at, self.discont) = (offset, true);
        out.push(PadId::FIRST, Item::Flush(epoch));
        out.push(PadId::FIRST, Item::Segment(Segment::bytes(offset).into()));
        Ok(())
    }

    /// Sends the bytes asked for, as far as there are any; the reading in order goes on where it was.
    fn read_at(&mut self, offset: u64, len: u32, out: &mut Output) -> Result<()> {
        let Some(end) = self.len else {
            out.warn(self.cannot_seek());
            return Ok(());
        };
        if len > MAX_RANDOM_READ {
            return Err(Error::limit(format!(
                "a read of {len} bytes was asked for, at most {MAX_RANDOM_READ} are given"
            )));
        }
        let wanted = u64::from(len).min(end.saturating_sub(offset)) as usize;
        let back = self.at;
        let read = read_range(self.file()?, offset, wanted, back);
        let bytes = read.map_err(|e| file_error("read", &self.location, e).at(offset))?;
        out.buffer(PadId::FIRST, Buffer { offset: Some(offset), ..Buffer::new(bytes) });
        Ok(())
    }

    fn cannot_seek(&self) -> Error {
        Error::unsupported(format!("{} cannot seek", self.location.display())).hint("save it to a file first")
    }
}

fn read_range(file: &mut dyn ReadFile, offset: u64, wanted: usize, back: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(wanted);
    file.seek(offset)?;
    while bytes.len() < wanted {
        let missing = wanted - bytes.len();
        if file.read(&mut bytes, missing)? == 0 {
            break;
        }
    }
    file.seek(back)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::{ErrorKind, Time};
    use millstream_testkit::{Harness, TestEnv};

    fn file(bytes: &[u8]) -> TestEnv {
        let env = TestEnv::new();
        env.fs.insert("dir/in", bytes);
        env
    }

    fn src(env: &TestEnv, settings: &str) -> Result<Harness> {
        Harness::builder(&factory()).env(env).settings(settings).build()
    }

    fn names(harness: &Harness) -> Vec<&'static str> {
        harness.items().map(|(_, item)| item.name()).collect()
    }

    #[test]
    fn reads_in_blocks_with_offsets() {
        let env = file(b"abcdefghij");
        let mut harness = src(&env, "location=dir/in blocksize=4").unwrap();
        harness.run().unwrap();
        harness.assert_contract();
        assert_eq!(names(&harness), ["stream-start", "segment", "buffer", "buffer", "buffer", "eos"]);
        let buffers = harness.take_buffers("src");
        assert_eq!(buffers.iter().map(|b| b.offset).collect::<Vec<_>>(), [0, 4, 8].map(Some));
        assert_eq!(buffers[2].payload.contiguous(), &b"ij"[..]);
    }

    #[test]
    fn a_loop_begins_again_with_a_mark() {
        let env = file(b"abcdef");
        let mut harness = src(&env, "location=dir/in blocksize=4 loop=true").unwrap();
        (0..8).for_each(|_| assert!(harness.produce().unwrap()));
        let buffers = harness.take_buffers("src");
        let seen = buffers.iter().map(|b| (b.offset.unwrap(), b.flags.contains(BufferFlags::DISCONT)));
        assert_eq!(seen.collect::<Vec<_>>()[..5], [(0, false), (4, false), (0, true), (4, false), (0, true)]);
        assert!(!src(&file(b""), "location=dir/in loop=true").unwrap().produce().unwrap(), "nothing has an end");
        let piped = TestEnv::new();
        piped.fs.set_stdin(*b"abc");
        assert!(src(&piped, "location=- loop=true").err().unwrap().to_string().contains("cannot seek"));
    }

    #[test]
    fn short_reads_and_standard_input() {
        let env = TestEnv::new();
        env.fs.set_stdin(*b"abcdefghij");
        env.fs.short_reads(3);
        let mut harness = src(&env, "location=-").unwrap();
        harness.run().unwrap();
        assert_eq!(names(&harness).iter().filter(|name| **name == "buffer").count(), 4);
        harness.request("src", Request::Seek { to: SeekTo::Byte(0), epoch: 1 }).unwrap();
        harness.request("src", Request::Read { offset: 0, len: 1 }).unwrap();
        assert_eq!(harness.warnings(), ["- cannot seek", "- cannot seek"]);
        assert_eq!(harness.take_bytes("src"), b"abcdefghij");
    }

    #[test]
    fn the_memory_of_blocks_is_used_again() {
        let env = file(&[7; 400]);
        let mut harness = src(&env, "location=dir/in blocksize=4").unwrap();
        let mut addresses = std::collections::BTreeSet::new();
        while harness.produce().unwrap() {
            let buffers = harness.take_buffers("src");
            addresses.extend(buffers.iter().map(|b| b.payload.slices()[0].as_ptr() as usize));
        }
        assert!(addresses.len() <= POOLED_BLOCKS, "{}", addresses.len());
    }

    #[test]
    fn seeks_to_bytes_also_after_the_end() {
        let env = file(b"abcdefghij");
        let mut harness = src(&env, "location=dir/in").unwrap();
        harness.run().unwrap();
        harness.take("src");
        harness.request("src", Request::Seek { to: SeekTo::Byte(7), epoch: 5 }).unwrap();
        harness.run().unwrap();
        assert_eq!(
            harness.timeline().to_string(),
            "src flush 5\nsrc segment Bytes start=0:00:00.000000000 offset=7 base=0:00:00.000000000\n\
             src buffer size=3 discont\nsrc eos\n"
        );
        harness.request("src", Request::Seek { to: SeekTo::Time(Time::ZERO), epoch: 6 }).unwrap();
        assert_eq!(harness.warnings().len(), 1);
    }

    #[test]
    fn random_access_does_not_disturb_the_order() {
        let env = file(b"abcdefghij");
        env.fs.short_reads(2);
        let mut harness = src(&env, "location=dir/in").unwrap();
        harness.produce().unwrap();
        harness.take("src");
        harness.request("src", Request::Read { offset: 5, len: 100 }).unwrap();
        harness.request("src", Request::Read { offset: 100, len: 3 }).unwrap();
        harness.produce().unwrap();
        let buffers = harness.take_buffers("src");
        let got: Vec<_> = buffers.iter().map(|b| (b.offset, b.payload.contiguous())).collect();
        assert_eq!(got, [(Some(5), "fghij".into()), (Some(100), "".into()), (Some(2), "cd".into())]);
        let refused = harness.request("src", Request::Read { offset: 0, len: u32::MAX });
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Limit);
    }

    #[test]
    fn an_input_that_disappears_is_an_error() {
        let env = file(&[1; 100]);
        let mut harness = src(&env, "location=dir/in blocksize=10").unwrap();
        harness.produce().unwrap();
        env.fs.truncate("dir/in", 15);
        let error = harness.run().unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Io, Some(15)));
        assert_eq!(harness.take_bytes("src").len(), 15, "what was there is delivered");

        let env = file(&[1; 100]);
        env.fs.fail_reads_at("dir/in", 30);
        let error = src(&env, "location=dir/in").unwrap().run().unwrap_err();
        assert_eq!(error.to_string(), "cannot read dir/in (at byte 30): input/output error");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = src(&TestEnv::new(), "location=no/such").err().unwrap();
        assert!(error.to_string().starts_with("cannot read no/such: "), "{error}");
        assert!(error.hint_text().unwrap().contains("directory no"));
        let error = src(&file(b""), "location=dir").err().unwrap();
        assert!(error.hint_text().unwrap().contains("a file in that directory"));
    }

    #[test]
    fn an_empty_file_ends_at_once() {
        let mut harness = src(&file(b""), "location=dir/in").unwrap();
        harness.run().unwrap();
        assert_eq!(names(&harness), ["stream-start", "segment", "eos"]);
    }
}
