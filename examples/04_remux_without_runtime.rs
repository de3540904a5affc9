//! FLV to MPEG-TS with the plain structs of the format crates: no runtime, no thread, no clock. Bytes go in, bytes come out, so the
//! same twenty lines work in a web server, a lambda or a test.
//!
//! ```sh
//! cargo run --example 04_remux_without_runtime
//! ```

#![allow(clippy::print_stdout, reason = "a program for people")]

use anyhow::Context;
use bytes::Bytes;
use millstream::codec::aac::{AdtsHeader, AudioSpecificConfig};
use millstream::codec::h264::AvcDecoderConfigurationRecord;
use millstream::codec::nal::{LengthSize, length_prefixed_to_annex_b, to_annex_b};
use millstream::flv::wire::{FlvReader, PacketKind, Tag, TagKind, parse_audio, parse_video};
use millstream::ts::muxer::{StreamConfig, StreamId, TsMuxer, TsMuxerSettings};
use millstream::ts::psi::Codec;

struct Remuxer {
    muxer: TsMuxer,
    video: StreamId,
    audio: StreamId,
    length_size: LengthSize,
    /// SPS and PPS as a byte stream: FLV has them once, a transport stream at each key frame.
    parameter_sets: Vec<Bytes>,
    aac: Option<AudioSpecificConfig>,
}

impl Remuxer {
    fn new() -> anyhow::Result<Self> {
        let mut muxer = TsMuxer::new(TsMuxerSettings::default())?;
        let video = muxer.add_stream(&StreamConfig::new(Codec::H264))?;
        let audio = muxer.add_stream(&StreamConfig::new(Codec::AacAdts))?;
        Ok(Self { muxer, video, audio, length_size: LengthSize::Four, parameter_sets: Vec::new(), aac: None })
    }

    fn tag(&mut self, tag: &Tag) -> anyhow::Result<()> {
        // FLV counts milliseconds, MPEG-TS 90 kHz.
        let dts = i64::from(tag.timestamp) * 90;
        match tag.kind {
            TagKind::Video => {
                for packet in parse_video(&tag.body)?.packets {
                    self.video(packet.kind, &packet.payload, dts)?;
                }
            }
            TagKind::Audio => {
                for packet in parse_audio(&tag.body)?.packets {
                    self.audio(packet.kind, packet.payload, dts)?;
                }
            }
            TagKind::Script | TagKind::ScriptAmf3 => {}
        }
        Ok(())
    }

    fn video(&mut self, kind: PacketKind, payload: &Bytes, dts: i64) -> anyhow::Result<()> {
        match kind {
            PacketKind::Config => {
                let record = AvcDecoderConfigurationRecord::parse(payload)?;
                self.length_size = record.length_size;
                self.parameter_sets = to_annex_b(record.sps.into_iter().chain(record.pps)).to_vec();
            }
            PacketKind::Frame { key, composition_time_ms, .. } => {
                let mut unit = if key { self.parameter_sets.clone() } else { Vec::new() };
                // Slices of the input: the muxer makes the only copy.
                unit.extend(length_prefixed_to_annex_b(payload, self.length_size)?);
                let pts = dts + i64::from(composition_time_ms) * 90;
                self.muxer.write(self.video, &unit, pts, dts, key)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn audio(&mut self, kind: PacketKind, payload: Bytes, dts: i64) -> anyhow::Result<()> {
        match kind {
            PacketKind::Config => self.aac = Some(AudioSpecificConfig::parse(&payload)?),
            PacketKind::Frame { .. } => {
                let config = self.aac.as_ref().context("a frame ahead of its sequence header")?;
                let header = AdtsHeader::new(config, payload.len()).context("AAC that ADTS cannot carry")?;
                let unit = [Bytes::copy_from_slice(&header.write()), payload];
                self.muxer.write(self.audio, &unit, dts, dts, false)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let clip = Bytes::from(std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/media/demo.flv"))?);
    let (mut reader, mut remuxer, mut ts) = (FlvReader::new(), Remuxer::new()?, Vec::new());
    // In pieces, as a socket would give them.
    for start in (0..clip.len()).step_by(4096) {
        reader.push(clip.slice(start..clip.len().min(start + 4096)));
        while let Some(tag) = reader.next()? {
            remuxer.tag(&tag)?;
        }
        while let Some(block) = remuxer.muxer.take_ready() {
            ts.extend_from_slice(&block);
        }
    }
    remuxer.muxer.flush()?;
    while let Some(block) = remuxer.muxer.take_ready() {
        ts.extend_from_slice(&block);
    }

    anyhow::ensure!(ts.len() % 188 == 0 && ts.iter().step_by(188).all(|byte| *byte == 0x47), "no transport stream");
    println!("{} packets of MPEG-TS from {} bytes of FLV", ts.len() / 188, clip.len());
    Ok(())
}
