//! `onMetaData` (FLV 10.1 E.5; Enhanced RTMP v2, "Enhancing onMetaData").

use millstream_amf::{Properties, Value};

use super::codec::{AudioCodec, FourCc, VideoCodec};
use super::script::ScriptTag;

/// The name of the script tag.
pub const ON_META_DATA: &str = "onMetaData";
/// How many entries of a key frame index are believed; a file has one every second or so.
const MAX_KEYFRAMES: usize = 1 << 17;

/// What a file says about itself. All of it is a hint: the tags decide.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetaData {
    /// Length in seconds; absent while it is not known.
    pub duration: Option<f64>,
    /// Length in bytes.
    pub file_size: Option<f64>,
    /// Width in pixels.
    pub width: Option<f64>,
    /// Height in pixels.
    pub height: Option<f64>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Video bit rate in kbit/s, of 1024 bits each as writers and readers count.
    pub video_data_rate: Option<f64>,
    /// Audio bit rate in kbit/s, of 1024 bits each as writers and readers count.
    pub audio_data_rate: Option<f64>,
    /// Sampling rate in Hz.
    pub audio_sample_rate: Option<f64>,
    /// Bits per sample.
    pub audio_sample_size: Option<f64>,
    /// Two channels.
    pub stereo: Option<bool>,
    /// Codec of video track 0, if it is known to us.
    pub video_codec: Option<VideoCodec>,
    /// Codec of audio track 0, if it is known to us.
    pub audio_codec: Option<AudioCodec>,
    /// Where key frames are.
    pub keyframes: Option<Keyframes>,
    /// What is said of further audio tracks: track id and properties such as `samplerate`, `channels`, `audiocodecid`.
    pub audio_tracks: Vec<(u8, Properties)>,
    /// What is said of further video tracks: track id and properties such as `width`, `height`, `videocodecid`.
    pub video_tracks: Vec<(u8, Properties)>,
    /// All other properties, in order, for passing through.
    pub other: Properties,
}

/// A key frame index: parallel lists.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Keyframes {
    /// Seconds.
    pub times: Vec<f64>,
    /// Offsets in bytes of the tags from the start of the file.
    pub positions: Vec<f64>,
}

impl MetaData {
    /// The metadata of a script tag, if it is some.
    pub fn from_script(tag: &ScriptTag) -> Option<Self> {
        let value = tag.values.iter().find(|value| value.properties().is_some());
        if tag.name == ON_META_DATA { value.map(Self::from_value) } else { None }
    }

    /// Reads an object or ECMA array. Numbers may come as text, and what has the wrong type is kept as `other`.
    pub fn from_value(value: &Value) -> Self {
        let mut data = Self::default();
        for (name, value) in value.properties().into_iter().flatten() {
            if !data.take(name, value) {
                data.other.push((name.clone(), value.clone()));
            }
        }
        data
    }

    /// Takes a known property; false if the name is unknown or the type wrong.
    fn take(&mut self, name: &str, value: &Value) -> bool {
        if let Some(slot) = self.number_slot(name) {
            *slot = number(value);
            return slot.is_some();
        }
        match name {
            "stereo" => {
                self.stereo = boolean(value);
                self.stereo.is_some()
            }
            "videocodecid" => {
                self.video_codec = codec_id(value).and_then(VideoCodec::from_metadata_id);
                self.video_codec.is_some()
            }
            "audiocodecid" => {
                self.audio_codec = codec_id(value).and_then(AudioCodec::from_metadata_id);
                self.audio_codec.is_some()
            }
            "keyframes" => {
                self.keyframes = Keyframes::from_value(value);
                self.keyframes.is_some()
            }
            "audioTrackIdInfoMap" => track_map(value, &mut self.audio_tracks),
            "videoTrackIdInfoMap" => track_map(value, &mut self.video_tracks),
            _ => false,
        }
    }

    fn number_slot(&mut self, name: &str) -> Option<&mut Option<f64>> {
        Some(match name {
            "duration" => &mut self.duration,
            "filesize" => &mut self.file_size,
            "width" => &mut self.width,
            "height" => &mut self.height,
            "framerate" => &mut self.frame_rate,
            "videodatarate" => &mut self.video_data_rate,
            "audiodatarate" => &mut self.audio_data_rate,
            "audiosamplerate" => &mut self.audio_sample_rate,
            "audiosamplesize" => &mut self.audio_sample_size,
            _ => return None,
        })
    }

    /// The properties in the order that is usual, unknown ones last.
    pub fn to_properties(&self) -> Properties {
        let mut out = Properties::new();
        let numbers = [
            ("duration", self.duration),
            ("width", self.width),
            ("height", self.height),
            ("videodatarate", self.video_data_rate),
            ("framerate", self.frame_rate),
            ("videocodecid", self.video_codec.and_then(VideoCodec::metadata_id).map(f64::from)),
            ("audiodatarate", self.audio_data_rate),
            ("audiosamplerate", self.audio_sample_rate),
            ("audiosamplesize", self.audio_sample_size),
        ];
        let mut push = |name: &str, value: Option<Value>| out.extend(value.map(|value| (name.into(), value)));
        numbers.into_iter().for_each(|(name, value)| push(name, value.map(Value::Number)));
        push("stereo", self.stereo.map(Value::Boolean));
        let audio_codec = self.audio_codec.and_then(AudioCodec::metadata_id);
        push("audiocodecid", audio_codec.map(|id| Value::Number(f64::from(id))));
        push("filesize", self.file_size.map(Value::Number));
        push("audioTrackIdInfoMap", track_map_value(&self.audio_tracks));
        push("videoTrackIdInfoMap", track_map_value(&self.video_tracks));
        push("keyframes", self.keyframes.as_ref().map(Keyframes::to_value));
        out.extend(self.other.iter().cloned());
        out
    }

    /// The ECMA array that the standard asks for.
    pub fn to_value(&self) -> Value {
        Value::ecma_array(self.to_properties())
    }
}

impl Keyframes {
    fn from_value(value: &Value) -> Option<Self> {
        let list = |name| -> Option<Vec<f64>> {
            let items = value.get(name)?.items()?;
            items.iter().take(MAX_KEYFRAMES).map(Value::as_f64).collect()
        };
        let (times, positions) = (list("times")?, list("filepositions")?);
        (times.len() == positions.len()).then_some(Self { times, positions })
    }

    /// Drops every other entry.
    pub(super) fn thin(&mut self) {
        for list in [&mut self.times, &mut self.positions] {
            *list = list.iter().copied().step_by(2).collect();
        }
    }

    fn to_value(&self) -> Value {
        let list = |items: &[f64]| Value::StrictArray(items.iter().copied().map(Value::Number).collect());
        Value::object([("filepositions", list(&self.positions)), ("times", list(&self.times))])
    }
}

/// A finite number, however it was written.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    number.filter(|number| number.is_finite())
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::String(text) => text.parse().ok(),
        other => other.as_f64().map(|value| value != 0.0),
    }
}

/// A codec as a number, or as the text of a FourCC, which some encoders send.
fn codec_id(value: &Value) -> Option<u32> {
    if let Value::String(text) = value
        && let Ok(fourcc) = <[u8; 4]>::try_from(text.as_bytes())
    {
        return Some(FourCc(fourcc).to_u32());
    }
    let id = number(value).filter(|id| (0.0..=f64::from(u32::MAX)).contains(id))?;
    Some(id as u32)
}

fn track_map(value: &Value, out: &mut Vec<(u8, Properties)>) -> bool {
    let Some(tracks) = value.properties() else { return false };
    for (id, track) in tracks {
        if let (Ok(id), Some(properties)) = (id.parse(), track.properties()) {
            out.push((id, properties.clone()));
        }
    }
    true
}

fn track_map_value(tracks: &[(u8, Properties)]) -> Option<Value> {
    let map = tracks.iter().map(|(id, properties)| (id.to_string(), Value::object(properties.iter().cloned())));
    (!tracks.is_empty()).then(|| Value::object(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ert_9_fourcc_codecs_and_track_maps() {
        let track = Value::object([("samplerate", Value::Number(48000.0)), ("audiocodecid", 1_332_770_163.0.into())]);
        let value = Value::ecma_array([
            ("videocodecid", Value::Number(1_635_135_537.0)),
            ("audiocodecid", "mp4a".into()),
            ("audioTrackIdInfoMap", Value::object([("1", track.clone()), ("x", Value::Null)])),
            ("videoTrackIdInfoMap", Value::object([("1", Value::object([("width", 1.0.into())]))])),
        ]);
        let data = MetaData::from_value(&value);
        assert_eq!((data.video_codec, data.audio_codec), (Some(VideoCodec::Av1), Some(AudioCodec::Aac)));
        assert_eq!(data.audio_tracks, [(1, track.properties().unwrap().clone())]);
        assert_eq!(data.video_tracks[0].0, 1, "audio 1 and video 1 are different tracks");
        assert_eq!(MetaData::from_value(&data.to_value()), data);
    }

    #[test]
    fn flv_6_sloppy_types_are_read() {
        let value = Value::object([
            ("duration", Value::from("12.5")),
            ("width", Value::Integer(640)),
            ("height", Value::Null),
            ("framerate", f64::NAN.into()),
            ("stereo", 1.0.into()),
            ("encoder", "x".into()),
        ]);
        let data = MetaData::from_value(&value);
        assert_eq!((data.duration, data.width, data.height, data.stereo), (Some(12.5), Some(640.0), None, Some(true)));
        assert_eq!(
            data.other.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["height", "framerate", "encoder"]
        );
    }

    #[test]
    fn flv_6_uneven_index_is_not_an_index() {
        let lists = |times: usize| {
            let list = |len| Value::StrictArray(vec![Value::Number(1.0); len]);
            Value::object([("keyframes", Value::object([("times", list(times)), ("filepositions", list(2))]))])
        };
        assert_eq!(MetaData::from_value(&lists(2)).keyframes.map(|index| index.times.len()), Some(2));
        assert_eq!(MetaData::from_value(&lists(3)).keyframes, None);
    }
}
