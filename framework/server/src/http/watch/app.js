// The page that lists the streams of a listener and plays one of them. Names of streams come from strangers: they are only ever text.

import { HlsDelay, ahead } from "./delay.js";
import { FlvPlayer } from "./flv.js";
import { Unplayable, WhepPlayer } from "./whep.js";

/// How often the list is asked for, and when a stream that was lost is tried again, in milliseconds.
const EVERY = 2000, AGAIN = 3000;

const find = (id) => document.getElementById(id);
const [video, streams, ways, facts, trouble, hint, address] = ["video", "streams", "ways", "facts", "trouble", "hint", "address"].map(find);
const HLS = "application/vnd.apple.mpegurl";
/// Ways by their delay: one that does not work here is followed by the next.
const WORDS = { webrtc: "WebRTC", flv: "HTTP-FLV", hls: "HLS" };

/// `skew`: how much the server's clock is ahead of this one, in milliseconds. `delays`: the last that was measured, by stream and way.
const state = { list: [], scripts: [], name: null, way: null, player: null, retry: null, codecs: {}, skew: 0, delays: new Map() };

function make(name, words, attributes = {}) {
  const element = Object.assign(document.createElement(name), attributes);
  if (words !== undefined) element.textContent = words;
  return element;
}

function tell(words) {
  trouble.textContent = words ?? "";
  trouble.hidden = !words;
}

/// Keeps what of a path is special, so that any name makes a URL.
const escape = (path) => path.split("/").map(encodeURIComponent).join("/");

const script = (name) => new Promise((done, failed) =>
  document.head.append(make("script", undefined, { src: `/watch/scripts/${name}`, onload: done, onerror: () => failed(new Error(`${name} does not load`)) })));

/// Why a way is closed to this browser, if it is.
function closed(way) {
  if (way === "webrtc") return window.RTCPeerConnection ? null : "This browser has no WebRTC.";
  if (way === "flv") return window.MediaSource ? null : "This browser has no Media Source Extensions, which HTTP-FLV needs.";
  return video.canPlayType(HLS) || state.scripts.includes("hls.js") ? null
    : "This browser does not play HLS by itself, and the server has no hls.js to help it.";
}

const why = (error) => `${error.message.replace(/\.$/, "")}.`;

/// Plays a URL one way; gives what stops it, and what tells its delay in seconds.
const PLAYERS = {
  async webrtc(url, failed) {
    const player = new WhepPlayer(video, state.key);
    player.play(url).then(() => failed("The stream has ended."), (error) => error.name === "AbortError"
      || failed(`WebRTC does not play it: ${why(error)}`, error instanceof Unplayable));
    return player;
  },
  async flv(url, failed) {
    if (state.scripts.includes("mpegts.js")) {
      if (!window.mpegts) await script("mpegts.js");
      const player = mpegts.createPlayer({ type: "flv", isLive: true, url }, { liveBufferLatencyChasing: true, enableWorker: false });
      player.on(mpegts.Events.ERROR, (kind, detail) => failed(`The stream broke off (${detail}).`));
      player.attachMediaElement(video);
      player.load();
      return { stop: () => player.destroy(), delay: () => ahead(video) };
    }
    const player = new FlvPlayer(video, { tell, named: (kind, codec) => (state.codecs[kind] = codec) });
    player.play(url).then(() => failed("The stream has ended."), (error) => error.name === "AbortError" || failed(`The stream cannot be played: ${why(error)}`));
    return { stop: () => player.stop(), delay: () => ahead(video) };
  },
  async hls(url, failed) {
    if (state.scripts.includes("hls.js")) {
      if (!window.Hls) await script("hls.js");
      const player = new Hls();
      player.on(Hls.Events.ERROR, (_, data) => data.fatal && failed(`The stream broke off (${data.details}).`));
      player.loadSource(url);
      player.attachMedia(video);
      return { stop: () => player.destroy(), delay: (now) => player.playingDate ? (now - player.playingDate) / 1000 : player.latency };
    }
    video.src = url;
    const measured = new HlsDelay(video, url);
    return { stop: () => {}, delay: (now) => measured.delay(now) };
  },
};

/// The ways of a stream, that with the least delay first.
const ordered = (stream) => Object.keys(WORDS).filter((way) => stream.ways[way]);

/// Plays a stream: `way` if it is given, else as the last one, else with the least delay.
function play(name, way, words) {
  const stream = state.list.find((one) => one.name === name);
  if (!stream) return;
  const open = ordered(stream).filter((one) => !closed(one));
  start(stream, way ?? (open.includes(state.wish) ? state.wish : open[0]) ?? ordered(stream)[0], words);
}

async function start(stream, way, words) {
  stop();
  Object.assign(state, { name: stream.name, way, codecs: {}, note: words });
  // A page that is loaded again goes on with the same.
  const again = { ...(state.wish === way && { as: way }), ...(state.key && { key: state.key }) };
  location.replace(`#${new URLSearchParams({ stream: stream.name, ...again })}`);
  tell(closed(way) ?? words);
  hint.textContent = stream.live ? "Loading …" : "Waiting for the stream …";
  hint.hidden = false;
  draw();
  if (closed(way)) return;
  const turn = (state.turn = Symbol(stream.name));
  const failed = (words, isFinal = false) => {
    if (state.turn !== turn) return;
    const next = isFinal && state.wish !== way && ordered(stream).slice(ordered(stream).indexOf(way) + 1).find((one) => !closed(one));
    if (next) return start(stream, next, `${words} Playing ${WORDS[next]} instead.`);
    if (isFinal) return tell(words);
    tell(`${words} Trying again …`);
    state.retry = setTimeout(() => start(state.list.find((one) => one.name === stream.name) ?? stream, way), AGAIN);
  };
  state.failed = failed;
  try {
    const player = await PLAYERS[way](new URL(escape(stream.ways[way]), location).href, failed);
    if (state.turn !== turn) return player.stop();
    state.player = player;
    video.play().catch(() => {});
  } catch (error) {
    failed(error.message);
  }
}

function stop() {
  state.turn = null;
  clearTimeout(state.retry);
  state.player?.stop();
  state.player = null;
  video.removeAttribute("src");
  video.srcObject = null;
  video.load();
}

video.addEventListener("playing", () => {
  hint.hidden = true;
  tell(state.note);
});
video.addEventListener("error", () => {
  if (video.src) state.failed?.(`The browser cannot play this: ${video.error?.message || "the stream is not there"}.`);
});
video.addEventListener("ended", () => state.failed?.("The stream has ended."));

function bits(rate) {
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(2)} Mbit/s` : `${Math.round(rate / 1000)} kbit/s`;
}

const seconds = (delay) => delay === undefined ? "–" : delay < 1 ? `${Math.round(delay * 1000)} ms` : `${delay.toFixed(1)} s`;

const key = (name, way) => JSON.stringify([name, way]);

/// How far what is shown is behind what the server has.
async function measure() {
  const { player, turn, name, way } = state;
  if (!player || video.paused || !hint.hidden) return;
  const delay = await Promise.resolve(player.delay(Date.now() + state.skew)).catch(() => null);
  if (state.turn === turn && delay !== null) state.delays.set(key(name, way), delay);
}

function row(stream) {
  const button = make("button", undefined, { type: "button", onclick: () => play(stream.name) });
  button.setAttribute("aria-current", stream.name === state.name);
  const kinds = [stream.video, stream.audio].filter(Boolean).join(", ");
  const words = stream.live ? [kinds, bits(stream.bitrate)].filter(Boolean).join(" · ") : "waits for its publisher";
  button.append(make("strong", stream.name), make("small", words, { className: stream.live ? "live" : "" }));
  const item = make("li");
  item.append(button);
  return item;
}

/// Replaces children only when they say something else, so that focus and selection stay.
function fill(parent, children) {
  const holder = make("div");
  holder.append(...children);
  if (holder.innerHTML === parent.innerHTML) return;
  const focused = [...parent.children].findIndex((child) => child.contains(document.activeElement));
  parent.replaceChildren(...children);
  if (focused >= 0) (parent.children[focused]?.querySelector("button") ?? parent.children[focused])?.focus();
}

function draw() {
  fill(streams, state.list.map(row));
  find("none").hidden = state.list.length > 0;
  const live = state.list.filter((stream) => stream.live).length;
  find("summary").textContent = state.list.length === 0 ? "No streams" : `${live} of ${state.list.length} streams live`;
  const stream = state.list.find((one) => one.name === state.name);
  find("title").textContent = state.name ?? "";
  address.hidden = !stream;
  if (!stream) {
    fill(facts, []);
    return fill(ways, []);
  }
  document.title = `${stream.name} · millstream`;
  fill(ways, ordered(stream).map((way) => {
    const wish = () => play(stream.name, (state.wish = way));
    const button = make("button", WORDS[way], { type: "button", onclick: wish, title: closed(way) ?? "" });
    button.setAttribute("aria-pressed", way === state.way);
    const delay = state.delays.get(key(stream.name, way));
    if (delay !== undefined) button.append(make("small", seconds(delay)));
    return button;
  }));
  const path = stream.ways[state.way];
  if (path) address.querySelector("code").textContent = new URL(escape(path), location).href;
  const pairs = {
    Picture: stream.video ?? "–",
    Size: video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : "–",
    Sound: stream.audio ?? "–",
    Bitrate: stream.live ? bits(stream.bitrate) : "–",
    "Pictures a second": stream.live && stream.fps ? stream.fps.toFixed(1) : "–",
    "Key frame every": stream.keyframe_distance ? `${stream.keyframe_distance.toFixed(1)} s` : "–",
    Delay: seconds(state.delays.get(key(stream.name, state.way))),
    Players: String(stream.players),
  };
  fill(facts, Object.entries(pairs).map(([term, value]) => {
    const pair = make("div");
    pair.append(make("dt", term), make("dd", value));
    return pair;
  }));
}

async function refresh() {
  try {
    const asked = Date.now();
    const response = await fetch("/streams.json", { cache: "no-store" });
    if (!response.ok) throw new Error(String(response.status));
    const { streams, scripts, now } = await response.json();
    Object.assign(state, { list: streams, scripts, skew: now - (asked + Date.now()) / 2 });
    draw();
    if (!state.name) begin();
  } catch {
    find("summary").textContent = "The server does not answer.";
  }
  setTimeout(refresh, EVERY);
}

/// Plays what the address asks for, else the first stream that is live. What is asked for is not left for another way. A `key` there is for
/// streams that want one; it goes to the server as a bearer token only.
function begin() {
  const asked = new URLSearchParams(location.hash.slice(1));
  state.key = asked.get("key");
  const named = state.list.find((stream) => stream.name === asked.get("stream"));
  const stream = named ?? state.list.find((one) => one.live);
  if (named?.ways[asked.get("as")]) state.wish = asked.get("as");
  if (stream) play(stream.name);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (step && state.list.length > 0 && event.target !== video) {
    const at = state.list.findIndex((stream) => stream.name === state.name);
    play(state.list[(at + step + state.list.length) % state.list.length].name);
  } else if (event.key === " " && !event.target.closest("button, video")) {
    video.paused ? video.play() : video.pause();
  } else if (event.key === "m") {
    video.muted = !video.muted;
  } else if (event.key === "f") {
    document.fullscreenElement ? document.exitFullscreen() : find("frame").requestFullscreen();
  } else {
    return;
  }
  event.preventDefault();
});
address.querySelector("button").addEventListener("click", ({ target }) => {
  navigator.clipboard?.writeText(address.querySelector("code").textContent);
  target.textContent = "Copied";
  setTimeout(() => (target.textContent = "Copy"), 1500);
});
/// Leaps over a hole in what has come, where the browser would wait for ever: a publisher that came back leaves one.
let stuck = { at: -1, since: 0 };
function leap() {
  const at = video.currentTime;
  if (video.paused || at !== stuck.at) stuck = { at, since: performance.now() };
  const ranges = video.buffered;
  if (performance.now() - stuck.since < 1500 || ranges.length === 0) return;
  const next = [...Array(ranges.length).keys()].map((index) => ranges.start(index)).find((start) => start > at);
  if (next !== undefined) video.currentTime = next;
  else if (ranges.end(ranges.length - 1) > at + 1) video.currentTime = at + 0.3;
}
setInterval(leap, 500);
setInterval(() => measure().finally(draw), 1000);
addEventListener("pagehide", () => state.player?.stop());
refresh();
