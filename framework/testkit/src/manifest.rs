//! The list of the media corpus: what each file is, and what foreign demuxers read in it.

/// All rows of `MANIFEST.tsv`.
#[derive(Clone, Debug, Default)]
pub struct Manifest(Vec<Row>);

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Path below the corpus folder.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Where it comes from: `generated: COMMAND`, `recorded: ...` or `github:...`.
    pub source: String,
    /// Its licence.
    pub licence: String,
    /// What it is good for, in words.
    pub exercises: String,
    /// What ffprobe 5.1 read; it does not know Enhanced FLV.
    pub ffprobe: Reading,
    /// What libavformat 62 read: the reading to trust.
    pub lavf: Reading,
}

/// What a demuxer read in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// It was not asked.
    NotRead,
    /// It refused, and said this.
    Unreadable(String),
    /// It found these tracks.
    Media {
        /// The demuxer, such as `flv` or `mpegts`.
        format: String,
        /// Seconds, as text; `None` when unknown.
        seconds: Option<f64>,
        /// In the order of the container.
        tracks: Vec<Track>,
        /// What it said when it gave up before the end; the packets are those before.
        gave_up: Option<String>,
    },
}

/// One track of a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// `video`, `audio`, `subtitle` or `data`.
    pub kind: String,
    /// FFmpeg's codec name (`h264`, `aac`, `mp3`, `av1`); decoder names (`mp3float`, `libdav1d`) are translated.
    pub codec: String,
    /// Geometry (`640x360`, `48000/2`), where the reading has it.
    pub detail: String,
    /// Number of packets.
    pub packets: u64,
}

impl Manifest {
    /// Reads the table; the first line names the columns.
    ///
    /// # Panics
    /// When a line has too few columns or a reading another form: the corpus is wrong then, and so would be the tests.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().skip(1).filter(|line| !line.is_empty()).map(Row::parse).collect())
    }

    /// All rows in the order of the file.
    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    /// The row of a file.
    pub fn row(&self, file: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.file == file)
    }

    /// The rows of one folder whose files end in `.extension`.
    pub fn in_folder<'a>(&'a self, folder: &'a str, extension: &'a str) -> impl Iterator<Item = &'a Row> {
        self.0.iter().filter(move |row| {
            let inside = row.file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            inside.and_then(|rest| rest.strip_suffix(extension)).is_some_and(|stem| stem.ends_with('.'))
        })
    }
}

impl Row {
    fn parse(line: &str) -> Self {
        let columns: Vec<&str> = line.split('\t').collect();
        let [file, bytes, _sha256, source, licence, exercises, ffprobe, lavf] = columns[..] else {
            panic!("manifest: not 8 columns: {line}")
        };
        Self {
            file: file.to_owned(),
            bytes: bytes.parse().unwrap_or_else(|e| panic!("manifest: {file}: bytes: {e}")),
            source: source.to_owned(),
            licence: licence.to_owned(),
            exercises: exercises.to_owned(),
            ffprobe: Reading::parse(ffprobe),
            lavf: Reading::parse(lavf),
        }
    }

    /// True when the file may be copied into the repository.
    pub fn is_ours_to_copy(&self) -> bool {
        self.source.starts_with("generated") || self.source.starts_with("recorded")
    }
}

impl Reading {
    /// Reads a cell such as `flv 10.067s video:h264:300; audio:aac:470`, perhaps with ` !Error` behind.
    fn parse(text: &str) -> Self {
        let text = text.trim();
        if text == "-" || text.is_empty() {
            return Self::NotRead;
        }
        if text.starts_with("unreadable") {
            return Self::Unreadable(text.to_owned());
        }
        let (text, gave_up) = text.split_once(" !").map_or((text, None), |(text, error)| (text, Some(error)));
        let (format, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (seconds, tracks) = rest.split_once(' ').unwrap_or((rest, ""));
        Self::Media {
            format: format.to_owned(),
            seconds: seconds.strip_suffix('s').and_then(|s| s.parse().ok()),
            tracks: tracks.split(';').map(str::trim).filter(|t| !t.is_empty()).map(Track::parse).collect(),
            gave_up: gave_up.map(str::to_owned),
        }
    }

    /// The tracks; none for a file that was not read.
    pub fn tracks(&self) -> &[Track] {
        match self {
            Self::Media { tracks, .. } => tracks,
            _ => &[],
        }
    }

    /// Packets of the first track of a kind.
    pub fn packets(&self, kind: &str) -> Option<u64> {
        self.tracks().iter().find(|track| track.kind == kind).map(|track| track.packets)
    }
}

impl Track {
    fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.split(':').collect();
        let [kind, codec, ref detail @ .., packets] = parts[..] else { panic!("manifest: no track: {text}") };
        let codec = match codec {
            "mp3float" => "mp3",
            "libdav1d" => "av1",
            codec => codec,
        };
        Self {
            kind: kind.to_owned(),
            codec: codec.to_owned(),
            detail: detail.join(":"),
            packets: packets.parse().unwrap_or_else(|e| panic!("manifest: {text}: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read() {
        let text = "file\tbytes\tsha256\tsource\tlicence\texercises\tffprobe_5.1\tlavf_62_pyav18\n\
            gen/a.flv\t12\tab\tgenerated: x\tMIT\twords\tunreadable\tflv 4.200s video:libdav1d:122; audio:aac:189\n\
            amf/b\t1\tab\tgithub:x\tMIT\twords\t-\tmatroska ?s video:vp9:320x180:100 !EOFError\n";
        let manifest = Manifest::parse(text);
        let row = manifest.row("gen/a.flv").unwrap();
        assert_eq!((row.bytes, row.is_ours_to_copy(), row.lavf.packets("audio")), (12, true, Some(189)));
        assert_eq!(row.lavf.tracks()[0].codec, "av1");
        assert!(matches!(row.ffprobe, Reading::Unreadable(_)));
        let Reading::Media { seconds: None, tracks, gave_up: Some(_), .. } = &manifest.rows()[1].lavf else {
            panic!("no media")
        };
        assert_eq!((&*tracks[0].detail, tracks[0].packets), ("320x180", 100));
        assert_eq!(manifest.in_folder("gen", "flv").count(), 1);
        assert_eq!(manifest.in_folder("gen", "lv").count(), 0);
    }
}
