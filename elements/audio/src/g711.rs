//! `mulawenc`, `mulawdec`, `alawenc`, `alawdec`: samples to G.711 and back (ITU-T G.711).
//!
//! ```text
//! | sign | segment (3) | step (4) |    mu-law: all bits inverted; A-law: every other one (XOR 0x55)
//! ```

use bytes::Bytes;
use millstream_core::caps::media;
use millstream_core::{
    Buffer, BuildCx, Caps, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Result, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::pcm::SampleFormat;

const SAMPLES: &str = "audio/x-raw, format=S16LE, layout=interleaved, rate=[8000, 192000], channels=[1, 2]";
const MULAW: &str = "audio/x-mulaw, rate=[8000, 192000], channels=[1, 2]";
const ALAW: &str = "audio/x-alaw, rate=[8000, 192000], channels=[1, 2]";

const CLASS_ENC: &str = "Codec/Encoder/Audio";
const CLASS_DEC: &str = "Codec/Decoder/Audio";

/// Settings of the elements of G.711: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct G711Settings {}

/// What is known of `mulawenc`, `mulawdec`, `alawenc` and `alawdec`.
pub fn factories() -> [Factory; 4] {
    [
        element("mulawenc", CLASS_ENC, "Encodes sound to G.711 mu-law", Way { law: Law::Mu, encodes: true })
            .details("A byte for each sample. Telephones and WebRTC (PCMU) have 8000 Hz and one channel: put `audioconvert ! audioresample` in front.")
            .example("filesrc location=tests/fixtures/audio_only_aac.flv ! flvdemux name=d d.audio ! aacparse ! aacdec ! audioconvert ! audio/x-raw,format=S16LE,channels=1 ! audioresample ! audio/x-raw,rate=8000 ! mulawenc ! fakesink"),
        element("mulawdec", CLASS_DEC, "Decodes G.711 mu-law", Way { law: Law::Mu, encodes: false })
            .details("Caps without rate or channels are taken for the 8000 Hz and the one channel of telephones.")
            .example("appsrc name=in caps=audio/x-mulaw,rate=8000,channels=1 ! mulawdec ! fakesink"),
        element("alawenc", CLASS_ENC, "Encodes sound to G.711 A-law", Way { law: Law::A, encodes: true })
            .details("A byte for each sample. Telephones and WebRTC (PCMA) have 8000 Hz and one channel: put `audioconvert ! audioresample` in front.")
            .example("filesrc location=tests/fixtures/audio_only_aac.flv ! flvdemux name=d d.audio ! aacparse ! aacdec ! audioconvert ! audio/x-raw,format=S16LE,channels=1 ! audioresample ! audio/x-raw,rate=8000 ! alawenc ! fakesink"),
        element("alawdec", CLASS_DEC, "Decodes G.711 A-law", Way { law: Law::A, encodes: false })
            .details("Caps without rate or channels are taken for the 8000 Hz and the one channel of telephones.")
            .example("appsrc name=in caps=audio/x-alaw,rate=8000,channels=1 ! alawdec ! fakesink"),
    ]
}

fn element(name: &'static str, class: &'static str, summary: &'static str, way: Way) -> Factory {
    let coded = if way.law == Law::Mu { MULAW } else { ALAW };
    let (sink, src) = if way.encodes { (SAMPLES, coded) } else { (coded, SAMPLES) };
    let build = move |_: G711Settings, _: &BuildCx| Ok(Element::Transform(Box::new(G711 { way, in_caps: None })));
    Factory::new(name, class, summary, build).pad(PadTemplate::sink("sink", sink)).pad(PadTemplate::src("src", src))
}

/// Which of the two, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    law: Law,
    encodes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Law {
    Mu,
    A,
}

/// Telephones (ITU-T G.711, 2).
const RATE: u32 = 8000;

struct G711 {
    way: Way,
    in_caps: Option<Caps>,
}

impl G711 {
    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        let coded = if self.way.law == Law::Mu { media::MULAW } else { media::ALAW };
        let (rate, channels) = (caps.rate().unwrap_or(RATE), caps.channels().unwrap_or(1));
        let made = Caps::new(if self.way.encodes { coded } else { media::RAW_AUDIO });
        let made = made.with("rate", rate).with("channels", channels);
        let fits = match self.way.encodes {
            true => caps.media() == media::RAW_AUDIO && caps.text("format") == Some(SampleFormat::S16.name()),
            false => caps.media() == coded,
        };
        if !fits {
            let wanted = if self.way.encodes { "samples of S16LE" } else { coded };
            let error = Error::unsupported(format!("the stream is {caps}, not {wanted}"));
            return Err(
                error.hint("put `audioconvert` in front of an encoder, and the decoder of the other law otherwise")
            );
        }
        out.caps(
            PadId::FIRST,
            match self.way.encodes {
                true => made,
                false => made.with("format", SampleFormat::S16.name()).with("layout", "interleaved"),
            },
        );
        self.in_caps = Some(caps);
        Ok(())
    }

    fn convert(&self, bytes: &[u8]) -> Bytes {
        let samples = || bytes.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample));
        match (self.way.law, self.way.encodes) {
            (Law::Mu, true) => samples().map(to_mulaw).collect(),
            (Law::A, true) => samples().map(to_alaw).collect(),
            (Law::Mu, false) => bytes.iter().flat_map(|byte| of_mulaw(*byte).to_le_bytes()).collect(),
            (Law::A, false) => bytes.iter().flat_map(|byte| of_alaw(*byte).to_le_bytes()).collect(),
        }
    }
}

impl Transform for G711 {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Buffer(_) if self.in_caps.is_none() => return Err(Error::unsupported("samples came before caps")),
            Item::Buffer(buffer) => {
                let buffer = buffer.into_inner();
                let payload = self.convert(&buffer.payload.contiguous()).into();
                out.buffer(PadId::FIRST, Buffer { payload, offset: None, ..buffer });
            }
            other => out.forward(other),
        }
        Ok(Flow::Done)
    }
}

/// Added before the segment is looked for, so that each begins at a power of two.
const BIAS: i32 = 132;
/// Louder ones are cut off here.
const LOUDEST: i32 = 32_635;

fn to_mulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let size = i32::from(sample).abs().min(LOUDEST) + BIAS;
    // From 132 to 32767: bit 7 to 14 is the highest.
    let segment = size.ilog2() - 7;
    let step = size >> (segment + 3) & 0x0F;
    !(sign | (segment as u8) << 4 | step as u8)
}

fn of_mulaw(code: u8) -> i16 {
    let code = !code;
    let segment = code >> 4 & 7;
    let size = (((i32::from(code & 0x0F) << 3) + BIAS) << segment) - BIAS;
    (if code & 0x80 == 0 { size } else { -size }) as i16
}

fn to_alaw(sample: i16) -> u8 {
    let (sign, size) = if sample >= 0 { (0xD5, sample >> 3) } else { (0x55, !sample >> 3) };
    // Of 12 bits; the first two segments are as wide as each other.
    let segment = (size >> 4).checked_ilog2().unwrap_or(0).min(7);
    let step = size >> segment.max(1) & 0x0F;
    ((segment as u8) << 4 | step as u8) ^ sign
}

fn of_alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (segment, step) = (code >> 4 & 7, i16::from(code & 0x0F) << 4);
    let size = match segment {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_testkit::harness::Harness;

    fn through(name: &str, caps: &str, bytes: &[u8]) -> (String, Bytes) {
        let factory = factories().into_iter().find(|factory| factory.name == name).expect("an element");
        let mut harness = Harness::builder(&factory).sink("sink").src("src").build().unwrap();
        harness.push_start("sink", caps).unwrap();
        harness.push_buffer("sink", Buffer::new(Bytes::copy_from_slice(bytes))).unwrap();
        let items = harness.take("src");
        let caps =
            items.iter().find_map(|item| if let Item::Caps(caps) = item { Some(caps.to_string()) } else { None });
        let Some(Item::Buffer(buffer)) = items.last() else { panic!("{items:?}") };
        (caps.expect("caps"), buffer.payload.contiguous())
    }

    #[test]
    fn values_are_those_of_the_recommendation() {
        // G.711, tables 2a and 1a: decoder output values, of 14 and 13 bits there.
        let mu: Vec<i16> = [0xFF, 0x80, 0x00, 0x8F, 0xEF].map(of_mulaw).into();
        assert_eq!(mu, [0, 8031 * 4, -8031 * 4, 4191 * 4, 33 * 4]);
        let a: Vec<i16> = [0xD5, 0xAA, 0x2A, 0xC5, 0x55].map(of_alaw).into();
        assert_eq!(a, [8, 4032 * 8, -4032 * 8, 33 * 8, -8]);
    }

    #[test]
    fn what_was_decoded_is_encoded_to_the_same_byte() {
        for code in 0..=255 {
            assert_eq!(to_alaw(of_alaw(code)), code, "A-law");
            // Mu-law has two zeros.
            assert_eq!(to_mulaw(of_mulaw(code)), if code == 0x7F { 0xFF } else { code }, "mu-law");
        }
    }

    #[test]
    fn no_sample_is_further_from_what_is_decoded_than_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            for heard in [of_mulaw(to_mulaw(sample)), of_alaw(to_alaw(sample))] {
                let (is, was) = (i32::from(heard), i32::from(sample));
                // A step is at most a sixteenth of where its segment begins, and 16 in the first; mu-law counts from the bias.
                let most = (was.abs() + BIAS) / 32 + 8 + i32::from(was < 0);
                assert!((is - was).abs() <= most, "{was} became {is}");
            }
        }
    }

    #[test]
    fn caps_say_what_comes_out() {
        let raw = "audio/x-raw, format=S16LE, layout=interleaved, rate=8000, channels=1";
        let (caps, bytes) = through("alawenc", raw, &[0, 0, 0xFF, 0xFF]);
        assert_eq!((caps.as_str(), &bytes[..]), ("audio/x-alaw, channels=1, rate=8000", &[0xD5, 0x55][..]));
        let (caps, bytes) = through("mulawdec", "audio/x-mulaw", &[0x80]);
        assert_eq!(caps, "audio/x-raw, channels=1, format=S16LE, layout=interleaved, rate=8000");
        assert_eq!(&bytes[..], &32_124_i16.to_le_bytes()[..]);
    }
}
