// Plays HTTP-FLV: cuts the stream into tags, puts H.264, H.265, AV1, VP9 and AAC into fragments of MP4 (ISO/IEC 14496-12), and gives
// them to the browser (Media Source Extensions).

/// How far behind the newest picture playback may fall, and where it goes on then, in seconds.
const BEHIND = 4, TARGET = 1;

/// What has been played is forgotten after so many seconds.
const KEPT = 30;

const text = (bytes) => String.fromCharCode(...bytes);
const hex = (byte) => byte.toString(16).padStart(2, "0");

// Boxes of MP4.

const u16 = (n) => [n >>> 8 & 255, n & 255];
const u32 = (n) => [n >>> 24 & 255, n >>> 16 & 255, n >>> 8 & 255, n & 255];
const u64 = (n) => [...u32(Math.floor(n / 2 ** 32)), ...u32(n >>> 0)];
const ascii = (words) => [...words].map((c) => c.charCodeAt(0));
const zeros = (count) => new Array(count).fill(0);

function join(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function box(name, ...parts) {
  const body = join(parts);
  return join([u32(body.length + 8), ascii(name), body]);
}

const UNITY = [...u32(0x10000), ...zeros(12), ...u32(0x10000), ...zeros(12), ...u32(0x40000000)];

/// The beginning of a stream of one track. Times are in milliseconds.
function head(track) {
  const video = track.kind === "video";
  const tkhd = box("tkhd", [0, 0, 0, 7], zeros(8), u32(1), zeros(16), zeros(4), u16(video ? 0 : 0x100), zeros(2), UNITY,
    u32(track.width * 65536), u32(track.height * 65536));
  const name = video ? "vide" : "soun";
  const hdlr = box("hdlr", zeros(8), ascii(name), zeros(13));
  const dinf = box("dinf", box("dref", zeros(4), u32(1), box("url ", [0, 0, 0, 1])));
  const stbl = box("stbl", box("stsd", zeros(4), u32(1), entry(track)), box("stts", zeros(8)), box("stsc", zeros(8)),
    box("stsz", zeros(12)), box("stco", zeros(8)));
  const media = video ? box("vmhd", [0, 0, 0, 1], zeros(8)) : box("smhd", zeros(8));
  const mdia = box("mdia", box("mdhd", zeros(12), u32(1000), zeros(4), u16(0x55c4), zeros(2)), hdlr, box("minf", media, dinf, stbl));
  const mvhd = box("mvhd", zeros(12), u32(1000), zeros(4), u32(0x10000), u16(0x100), zeros(10), UNITY, zeros(24), u32(2));
  const mvex = box("mvex", box("trex", zeros(4), u32(1), u32(1), zeros(12)));
  return join([box("ftyp", ascii("isom"), u32(1), ascii("isomiso5")),
    box("moov", mvhd, box("trak", tkhd, mdia), mvex)]);
}

/// The sample entry, with the configuration of the codec as it came.
function entry(track) {
  if (track.kind === "video") {
    return box(track.sample, zeros(6), u16(1), zeros(16), u16(track.width), u16(track.height), u32(0x480000), u32(0x480000), zeros(4),
      u16(1), zeros(32), u16(24), [255, 255], box(track.box, track.config));
  }
  const info = [4, 17, 0x40, 0x15, ...zeros(11), 5, track.config.length, ...track.config];
  info[1] = info.length - 2;
  const esds = box("esds", zeros(4), [3, info.length + 6], u16(1), [0], info, [6, 1, 2]);
  return box("mp4a", zeros(6), u16(1), zeros(8), u16(track.channels), u16(16), zeros(4), u16(track.rate & 0xffff), zeros(2), esds);
}

/// Samples one after the other.
function fragment(track, sequence, samples) {
  const flags = (sample) => sample.key || track.kind === "audio" ? 0x02000000 : 0x01010000;
  const rows = samples.flatMap((s) => [...u32(s.duration), ...u32(s.data.length), ...u32(flags(s)), ...u32(s.offset)]);
  const make = (offset) => box("moof", box("mfhd", zeros(4), u32(sequence)), box("traf",
    box("tfhd", [0, 2, 0, 0], u32(1)), box("tfdt", [1, 0, 0, 0], u64(samples[0].time)),
    box("trun", [1, 0, 0x0f, 1], u32(samples.length), u32(offset), rows)));
  const moof = make(make(0).length + 8);
  return join([moof, box("mdat", ...samples.map((sample) => sample.data))]);
}

// Codecs by their configuration.

const VIDEO = {
  avc1: { box: "avcC", sample: "avc1", name: "H.264", codec: (c) => `avc1.${hex(c[1])}${hex(c[2])}${hex(c[3])}` },
  hvc1: { box: "hvcC", sample: "hvc1", name: "H.265", codec: hevc },
  av01: { box: "av1C", sample: "av01", name: "AV1", codec: av1 },
  vp09: { box: "vpcC", sample: "vp09", name: "VP9", codec: (c) => `vp09.${[c[4], c[5], c[6] >> 4].map((n) => String(n).padStart(2, "0")).join(".")}` },
};

/// ISO/IEC 14496-15, E.3.
function hevc(c) {
  let flags = 0;
  for (let bit = 0; bit < 32; bit += 1) flags |= (c[2 + (bit >> 3)] >> 7 - (bit & 7) & 1) << bit;
  const constraints = [...c.subarray(6, 12)];
  while (constraints.length > 0 && constraints.at(-1) === 0) constraints.pop();
  const space = ["", "A", "B", "C"][c[1] >> 6];
  return ["hvc1", space + (c[1] & 31), (flags >>> 0).toString(16), (c[1] & 32 ? "H" : "L") + c[12],
    ...constraints.map((byte) => byte.toString(16))].join(".");
}

function av1(c) {
  const depth = c[2] & 0x40 ? (c[2] & 0x20 ? 12 : 10) : 8;
  return `av01.${c[1] >> 5}.${String(c[1] & 31).padStart(2, "0")}${c[2] & 0x80 ? "H" : "M"}.${String(depth).padStart(2, "0")}`;
}

const RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/// Finds a number of `onMetaData` by its name (AMF0: length and name, marker 0, a double).
function property(body, name) {
  const wanted = [0, name.length, ...ascii(name), 0];
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  for (let at = 0; at + wanted.length + 8 <= body.length; at += 1) {
    if (wanted.every((byte, index) => body[at + index] === byte)) return view.getFloat64(at + wanted.length);
  }
  return 0;
}

/// A player. `tell(words)` hears what is wrong, `named(kind, codec)` what is played.
export class FlvPlayer {
  constructor(video, { tell, named }) {
    Object.assign(this, { video, tell, named, tracks: {}, size: [1280, 720], base: null, over: new AbortController(), pending: new Uint8Array() });
    this.source = new MediaSource();
    this.url = URL.createObjectURL(this.source);
    video.src = this.url;
    this.timer = setInterval(() => this.follow(), 250);
  }

  /// Plays until the stream ends, `stop` is called, or something fails.
  async play(url) {
    await new Promise((open) => this.source.addEventListener("sourceopen", open, { once: true }));
    const response = await fetch(url, { signal: this.over.signal });
    if (!response.ok) throw new Error(response.status === 404 ? "the stream is not there" : `the server says ${response.status}`);
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      this.pending = join([this.pending, value]);
      this.parse();
    }
    for (const track of Object.values(this.tracks)) this.flush(track, true);
  }

  stop() {
    this.over.abort();
    clearInterval(this.timer);
    URL.revokeObjectURL(this.url);
  }

  parse() {
    const data = this.pending;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    let at = 0;
    if (!this.begun) {
      if (data.length < 13) return;
      if (text(data.subarray(0, 3)) !== "FLV") throw new Error("this is no FLV");
      this.begun = true;
      at = view.getUint32(5) + 4;
    }
    while (at + 11 <= data.length) {
      const size = view.getUint32(at) & 0xffffff;
      if (at + 11 + size + 4 > data.length) break;
      const time = (view.getUint32(at + 4) >>> 8) + view.getUint8(at + 7) * 2 ** 24;
      this.tag(data[at] & 31, time, data.subarray(at + 11, at + 11 + size));
      at += 11 + size + 4;
    }
    this.pending = data.slice(at);
    for (const track of Object.values(this.tracks)) this.flush(track, false);
  }

  tag(kind, time, body) {
    if (kind === 18) this.size = [property(body, "width") || this.size[0], property(body, "height") || this.size[1]];
    if (kind === 9 && body.length > 5) this.picture(time, body);
    if (kind === 8 && body.length > 2) this.sound(time, body);
  }

  picture(time, body) {
    const enhanced = body[0] & 0x80;
    const fourcc = enhanced ? text(body.subarray(1, 5)) : (body[0] & 15) === 7 ? "avc1" : null;
    const codec = VIDEO[fourcc];
    if (!codec) return this.tell(`This page cannot play pictures of this codec${enhanced ? ` (${fourcc})` : ""}.`);
    const key = (body[0] >> 4 & 7) === 1;
    // Enhanced RTMP: 0 is the configuration, 1 a picture with its composition time (of AVC and HEVC), 3 one without.
    const type = enhanced ? body[0] & 15 : body[1];
    const timed = !enhanced || type === 1 && (fourcc === "avc1" || fourcc === "hvc1");
    const start = (enhanced ? 5 : 2) + (timed || !enhanced ? 3 : 0);
    const data = body.slice(start);
    if (type === 0) return this.configure("video", codec.codec(data), { ...codec, kind: "video", config: data, width: this.size[0], height: this.size[1] });
    if (type !== 1 && type !== 3) return;
    const offset = timed ? (body[start - 3] << 24 | body[start - 2] << 16 | body[start - 1] << 8) >> 8 : 0;
    this.sample(this.tracks.video, { time, offset, key, data });
  }

  sound(time, body) {
    const enhanced = body[0] >> 4 === 9;
    const aac = enhanced ? text(body.subarray(1, 5)) === "mp4a" : body[0] >> 4 === 10;
    if (!aac) return this.tell("This page plays only AAC; the sound is left out.");
    const type = enhanced ? body[0] & 15 : body[1];
    const data = body.slice(enhanced ? 5 : 2);
    if (type === 0) {
      const track = { kind: "audio", name: "AAC", config: data, width: 0, height: 0, channels: data[1] >> 3 & 15,
        rate: RATES[(data[0] & 7) << 1 | data[1] >> 7] ?? 48000 };
      return this.configure("audio", `mp4a.40.${data[0] >> 3}`, track);
    }
    if (type === 1) this.sample(this.tracks.audio, { time, offset: 0, key: true, data });
  }

  /// A configuration has come: begins a track, or goes on with another one.
  configure(kind, codec, track) {
    const mime = `${kind}/mp4; codecs="${codec}"`;
    const old = this.tracks[kind];
    if (old && text(old.config) === text(track.config)) return;
    if (!MediaSource.isTypeSupported(mime)) return this.tell(`This browser cannot play ${track.name} (${codec}).`);
    this.named(kind, track.name);
    const buffer = old?.buffer ?? this.source.addSourceBuffer(mime);
    if (old) {
      this.flush(old, true);
      buffer.changeType(mime);
    } else {
      buffer.addEventListener("updateend", () => this.feed(this.tracks[kind]));
      buffer.addEventListener("error", () => this.tell("The browser cannot decode this stream."));
    }
    this.tracks[kind] = { ...track, buffer, samples: [], queue: [...(old?.queue ?? []), head(track)], sequence: 1, last: old?.last };
    this.feed(this.tracks[kind]);
  }

  sample(track, sample) {
    if (!track || sample.data.length === 0) return;
    this.base ??= sample.time;
    // One timeline that does not go back.
    sample.time = Math.max(sample.time - this.base, track.samples.at(-1)?.time ?? track.last ?? 0);
    track.samples.push(sample);
  }

  /// Sends whole samples on. How long the last one lasts is known when the next has come.
  flush(track, all) {
    const ready = track.samples.splice(0, track.samples.length - (all ? 0 : 1));
    if (ready.length === 0) return;
    const next = track.samples[0]?.time ?? ready.at(-1).time + 40;
    ready.forEach((sample, index) => (sample.duration = (ready[index + 1]?.time ?? next) - sample.time));
    track.last = next;
    track.queue.push(fragment(track, track.sequence++, ready));
    this.feed(track);
  }

  feed(track) {
    if (this.over.signal.aborted || track.buffer.updating || track.queue.length === 0 || this.source.readyState !== "open") return;
    try {
      track.buffer.appendBuffer(track.queue[0]);
      track.queue.shift();
    } catch (error) {
      if (error.name !== "QuotaExceededError") return this.tell(`The browser takes no more: ${error.message}`);
      track.buffer.remove(0, Math.max(0.1, this.video.currentTime - 1));
    }
  }

  /// Keeps near the newest picture, leaps over holes, and forgets what was played.
  follow() {
    const { video } = this;
    const ranges = video.buffered;
    if (ranges.length === 0) return;
    const [start, end] = [ranges.start(ranges.length - 1), ranges.end(ranges.length - 1)];
    if (video.currentTime < start || end - video.currentTime > BEHIND) {
      if (!video.paused || video.currentTime < start) video.currentTime = Math.max(start, end - TARGET);
    }
    for (const { buffer } of Object.values(this.tracks)) {
      const has = buffer.buffered;
      if (!buffer.updating && has.length > 0 && video.currentTime - has.start(0) > 2 * KEPT) buffer.remove(0, video.currentTime - KEPT);
    }
  }
}
