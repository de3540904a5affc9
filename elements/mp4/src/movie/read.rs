//! The `moov` box.

use bytes::Bytes;

use super::{Defaults, Edits, Entry, Medium, Movie, Table, Track};
use crate::wire::{Fields, FourCc, Mp4Error};

/// Tracks of a file. No file has nearly as many; a forged one would only cost time.
const MAX_TRACKS: usize = 256;

pub(super) fn movie(content: &Bytes, offset: u64) -> Result<Movie, Mp4Error> {
    let mut boxes = Fields::new(FourCc(*b"moov"), content, offset);
    let mut movie = Movie::default();
    let mut header = false;
    let mut defaults = Vec::new();
    while let Some(found) = boxes.next_box()? {
        match &found.kind().0 {
            b"mvhd" => {
                (movie.timescale, movie.duration) = timescale_of(found)?;
                header = true;
            }
            b"trak" if movie.tracks.len() + movie.others.len() >= MAX_TRACKS => {
                return Err(found.error(&format!("is one of more than {MAX_TRACKS}")));
            }
            b"trak" => match track(found, content, offset)? {
                Ok(track) => movie.tracks.push(track),
                Err(handler) => movie.others.push(handler),
            },
            b"mvex" => {
                movie.is_fragmented = true;
                read_defaults(found, &mut defaults)?;
            }
            _ => {}
        }
    }
    if !header {
        return Err(Mp4Error::new(offset, "box `moov` has no `mvhd`"));
    }
    for track in &mut movie.tracks {
        let own = defaults.iter().find(|(id, _)| *id == track.id);
        track.defaults = own.map(|(_, defaults)| *defaults).unwrap_or_default();
        track.edits.scale(movie.timescale, track.timescale);
    }
    Ok(movie)
}

/// Timescale and duration of `mvhd` and `mdhd`, which begin alike; what follows is left.
fn timescale_and_rest<'a>(mut fields: Fields<'a>) -> Result<(u32, u64, Fields<'a>), Mp4Error> {
    let (version, _) = fields.full()?;
    fields.by_version(version)?;
    fields.by_version(version)?;
    let at = fields;
    let timescale = fields.u32()?;
    if timescale == 0 {
        return Err(at.error("says a timescale of 0"));
    }
    let duration = fields.by_version(version)?;
    Ok((timescale, duration, fields))
}

fn timescale_of(fields: Fields<'_>) -> Result<(u32, u64), Mp4Error> {
    timescale_and_rest(fields).map(|(timescale, duration, _)| (timescale, duration))
}

fn read_defaults(mut mvex: Fields<'_>, all: &mut Vec<(u32, Defaults)>) -> Result<(), Mp4Error> {
    while let Some(mut trex) = mvex.next_box()? {
        if trex.kind().0 != *b"trex" || all.len() >= MAX_TRACKS {
            continue;
        }
        trex.full()?;
        let id = trex.u32()?;
        let entry = trex.u32()?.saturating_sub(1);
        all.push((id, Defaults { entry, duration: trex.u32()?, size: trex.u32()?, flags: trex.u32()? }));
    }
    Ok(())
}

/// A track, or the handler of one that is neither pictures nor sound.
fn track(trak: Fields<'_>, content: &Bytes, offset: u64) -> Result<Result<Track, String>, Mp4Error> {
    let id = track_id(trak.require(b"tkhd")?)?;
    let mdia = trak.require(b"mdia")?;
    let mut hdlr = mdia.require(b"hdlr")?;
    hdlr.full()?;
    hdlr.skip(4)?;
    let handler = hdlr.four_cc()?;
    let medium = match &handler.0 {
        b"vide" => Medium::Video,
        b"soun" => Medium::Audio,
        _ => return Ok(Err(handler.to_string())),
    };
    let (timescale, _, mut rest) = timescale_and_rest(mdia.require(b"mdhd")?)?;
    let language = language(rest.u16()?);
    let stbl = mdia.require(b"minf")?.require(b"stbl")?;
    let entries = Entry::read_all(medium, stbl.require(b"stsd")?, content, offset)?;
    let edits = match trak.find(b"edts")? {
        Some(edts) => edts.find(b"elst")?.map(Edits::read).transpose()?.unwrap_or_default(),
        None => Edits::default(),
    };
    let table = Table::read(stbl, content, offset)?;
    let defaults = Defaults::default();
    Ok(Ok(Track { id, medium, timescale, language, entries, edits, table, defaults }))
}

fn track_id(mut tkhd: Fields<'_>) -> Result<u32, Mp4Error> {
    let (version, _) = tkhd.full()?;
    tkhd.by_version(version)?;
    tkhd.by_version(version)?;
    tkhd.u32()
}

/// Three letters of five bits each (8.4.2.3); `und` and what is no letter is none.
fn language(packed: u16) -> Option<String> {
    let letter = |shift: u16| char::from((packed >> shift & 31) as u8 + 0x60);
    let code: String = [10, 5, 0].into_iter().map(letter).collect();
    (code.bytes().all(|byte| byte.is_ascii_lowercase()) && code != "und").then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_three_letters() {
        // ISO/IEC 14496-12, 8.4.2.3: each letter less 0x60. `und` is 0x55C4, as all writers have it.
        assert_eq!(language(0x55C4), None);
        assert_eq!(language((5 << 10) | (14 << 5) | 7).as_deref(), Some("eng"));
        assert_eq!(language(0), None);
        assert_eq!(language(0x7FFF), None, "QuickTime's unspecified");
    }
}
