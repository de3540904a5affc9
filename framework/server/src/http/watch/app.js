// The page that lists the streams of a listener and plays one of them. Names of streams come from strangers: they are only ever text.

import { FlvPlayer } from "./flv.js";

/// How often the list is asked for, and when a stream that was lost is tried again, in milliseconds.
const EVERY = 2000, AGAIN = 3000;

const find = (id) => document.getElementById(id);
const [video, streams, ways, facts, trouble, hint, address] = ["video", "streams", "ways", "facts", "trouble", "hint", "address"].map(find);
const HLS = "application/vnd.apple.mpegurl";
const WORDS = { flv: "HTTP-FLV", hls: "HLS" };

const state = { list: [], scripts: [], name: null, way: null, stop: null, retry: null, codecs: {} };

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
  if (way === "flv") return window.MediaSource ? null : "This browser has no Media Source Extensions, which HTTP-FLV needs.";
  return video.canPlayType(HLS) || state.scripts.includes("hls.js") ? null
    : "This browser does not play HLS by itself, and the server has no hls.js to help it.";
}

/// Plays a URL one way; gives what stops it.
const PLAYERS = {
  async flv(url, failed) {
    if (state.scripts.includes("mpegts.js")) {
      if (!window.mpegts) await script("mpegts.js");
      const player = mpegts.createPlayer({ type: "flv", isLive: true, url }, { liveBufferLatencyChasing: true, enableWorker: false });
      player.on(mpegts.Events.ERROR, (kind, detail) => failed(`The stream broke off (${detail}).`));
      player.attachMediaElement(video);
      player.load();
      return () => player.destroy();
    }
    const player = new FlvPlayer(video, { tell, named: (kind, codec) => (state.codecs[kind] = codec) });
    player.play(url).then(() => failed("The stream has ended."), (error) => error.name === "AbortError" || failed(`The stream cannot be played: ${error.message}.`));
    return () => player.stop();
  },
  async hls(url, failed) {
    if (state.scripts.includes("hls.js")) {
      if (!window.Hls) await script("hls.js");
      const player = new Hls();
      player.on(Hls.Events.ERROR, (_, data) => data.fatal && failed(`The stream broke off (${data.details}).`));
      player.loadSource(url);
      player.attachMedia(video);
      return () => player.destroy();
    }
    video.src = url;
    return () => {};
  },
};

async function play(name, way) {
  const stream = state.list.find((one) => one.name === name);
  if (!stream) return;
  stop();
  const open = Object.keys(stream.ways).filter((one) => !closed(one));
  const chosen = way ?? (open.includes(state.way) ? state.way : open[0]) ?? Object.keys(stream.ways)[0];
  Object.assign(state, { name, way: chosen, codecs: {} });
  location.replace(`#${new URLSearchParams({ stream: name, as: chosen })}`);
  tell(closed(chosen));
  hint.textContent = stream.live ? "Loading …" : "Waiting for the stream …";
  hint.hidden = false;
  draw();
  if (closed(chosen)) return;
  const turn = (state.turn = Symbol(name));
  const failed = (words) => {
    if (state.turn !== turn) return;
    tell(`${words} Trying again …`);
    state.retry = setTimeout(() => play(name, chosen), AGAIN);
  };
  state.failed = failed;
  try {
    state.stop = await PLAYERS[chosen](new URL(escape(stream.ways[chosen]), location).href, failed);
    video.play().catch(() => {});
  } catch (error) {
    failed(error.message);
  }
}

function stop() {
  state.turn = null;
  clearTimeout(state.retry);
  state.stop?.();
  state.stop = null;
  video.removeAttribute("src");
  video.load();
}

video.addEventListener("playing", () => {
  hint.hidden = true;
  tell(null);
});
video.addEventListener("error", () => {
  if (video.src) state.failed?.(`The browser cannot play this: ${video.error?.message || "the stream is not there"}.`);
});
video.addEventListener("ended", () => state.failed?.("The stream has ended."));

function bits(rate) {
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(2)} Mbit/s` : `${Math.round(rate / 1000)} kbit/s`;
}

/// How far playback is behind what has come.
function delay() {
  const ranges = video.buffered;
  return ranges.length === 0 || hint.hidden === false ? null : Math.max(0, ranges.end(ranges.length - 1) - video.currentTime);
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
  fill(ways, Object.keys(stream.ways).map((way) => {
    const button = make("button", WORDS[way] ?? way, { type: "button", onclick: () => play(stream.name, way), title: closed(way) ?? "" });
    button.setAttribute("aria-pressed", way === state.way);
    return button;
  }));
  const path = stream.ways[state.way];
  if (path) address.querySelector("code").textContent = new URL(escape(path), location).href;
  const behind = delay();
  const pairs = {
    Picture: stream.video ?? "–",
    Size: video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : "–",
    Sound: stream.audio ?? "–",
    Bitrate: stream.live ? bits(stream.bitrate) : "–",
    "Pictures a second": stream.live && stream.fps ? stream.fps.toFixed(1) : "–",
    "Key frame every": stream.keyframe_distance ? `${stream.keyframe_distance.toFixed(1)} s` : "–",
    Buffered: behind === null ? "–" : `${behind.toFixed(1)} s`,
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
    const response = await fetch("/streams.json", { cache: "no-store" });
    if (!response.ok) throw new Error(String(response.status));
    Object.assign(state, await response.json());
    state.list = state.streams;
    draw();
    if (!state.name) begin();
  } catch {
    find("summary").textContent = "The server does not answer.";
  }
  setTimeout(refresh, EVERY);
}

/// Plays what the address asks for, else the first stream that is live.
function begin() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const named = state.list.find((stream) => stream.name === asked.get("stream"));
  const stream = named ?? state.list.find((one) => one.live);
  if (stream) play(stream.name, named && stream.ways[asked.get("as")] ? asked.get("as") : undefined);
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
setInterval(draw, 1000);
refresh();
