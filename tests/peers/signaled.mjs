// Publishes a fake camera through signaling, or plays a stream, or both, in headless Chromium, and says what was seen and said.
//
//   node signaled.mjs MODULES publish|play|both|offer ORIGIN STREAM SECONDS [CODEC]
//
// MODULES is the folder whose node_modules hold puppeteer-core (target/peers/node). ORIGIN is the server, http://HOST:PORT, with its WebSocket at /signal. CODEC is the
// one that is offered for pictures (VP8, VP9, AV1, H264), or `any`. `both` plays what it publishes, each in a session of its own; `offer` joins the room of the
// environment and offers to whoever is there, instead of publishing. ROOM names a room to be joined first, RESTART=1 begins ICE anew in the middle, LOSE=1 cuts the
// connection to the server in the middle and resumes, GARBLE=1 offers what is no offer. CHROMIUM names another browser than /usr/bin/chromium. Prints one JSON object:
//
//   { said: ["> publish", "< init", ...], publish: SEEN, play: SEEN, candidates: [of the answer], ended, error }
//
// SEEN is { frames, codec, packets, energy, state, generations }: what getStats() counted when SECONDS had passed since media flowed. Exit code 2 when the command is wrong.

import { open } from "./browser.mjs";

/// Longest time for everything, in ms: many times what is watched, for a busy machine.
const PATIENCE = 90_000;

/// Runs in the page: has the conversations.
async function converse({ mode, stream, seconds, codec, room, restart, lose, garble, patience }) {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const seen = { said: [], candidates: [], ended: null, error: null };
  const heard = [];
  let socket, resume, last = 0, lastSaid = 0;
  const say = (message) => {
    seen.said.push(`> ${message.type}`);
    const numbered = message.type === "hello" ? message : { ...message, seq: ++lastSaid };
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(numbered));
  };
  const until = async (what, find) => {
    const end = performance.now() + patience;
    for (;;) {
      const found = find();
      if (found) return found;
      if (performance.now() > end) throw new Error(`waited for ${what}`);
      await wait(10);
    }
  };
  const hear = (type, session) => until(type, () => heard.find((one) => one.type === type && (!session || one.session === session)));
  const hello = async () => {
    socket = new WebSocket(new URL("/signal", location.href.replace("http", "ws")));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      last = Math.max(last, message.seq ?? 0);
      seen.said.push(`< ${message.type}`);
      if (message.type === "welcome") resume = message.resume;
      if (message.type === "ended") seen.ended = [message.reason, message.message ?? null];
      if (message.type === "error") seen.error = [message.code, message.message];
      heard.push(message);
    };
    await new Promise((done, failed) => Object.assign(socket, { onopen: done, onerror: failed }));
    heard.splice(0, heard.length, ...heard.filter((one) => one.type !== "welcome"));
    say(resume ? { type: "hello", version: 1, resume, last } : { type: "hello", version: 1, name: "browser" });
    await hear("welcome");
  };
  const prefer = (transceiver, kind, of) => {
    if (kind !== "video" || codec === "any") return;
    const all = of.getCapabilities("video").codecs;
    transceiver.setCodecPreferences(all.filter((one) => [`video/${codec}`, "video/rtx"].includes(one.mimeType)));
  };
  const offer = async (pc, to) => {
    await pc.setLocalDescription();
    const seenAnswers = heard.filter((one) => one.type === "answer").length;
    say({ type: "offer", ...to, sdp: garble ? "v=0\r\nnothing" : pc.localDescription.sdp });
    const answers = () => heard.filter((one) => one.type === "answer");
    await until("an answer", () => answers().length > seenAnswers || seen.ended);
    if (answers().length === seenAnswers) return;
    const { sdp } = answers().at(-1);
    seen.candidates = sdp.split(/\r?\n/).filter((line) => line.startsWith("a=candidate:"));
    await pc.setRemoteDescription({ type: "answer", sdp });
  };
  /// A session with a worker.
  const begin = async (type) => {
    const pc = new RTCPeerConnection();
    if (type === "play") {
      const shown = new MediaStream();
      for (const kind of ["video", "audio"]) prefer(pc.addTransceiver(kind, { direction: "recvonly" }), kind, RTCRtpReceiver);
      pc.ontrack = ({ track }) => shown.addTrack(track);
      const video = document.createElement("video");
      Object.assign(video, { srcObject: shown, autoplay: true, playsInline: true });
      document.body.replaceChildren(video);
    } else {
      const camera = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360, frameRate: 30 } });
      for (const track of camera.getTracks()) {
        prefer(pc.addTransceiver(track, { direction: "sendonly", streams: [camera] }), track.kind, RTCRtpSender);
      }
    }
    const one = { type, pc, session: null, generations: new Set() };
    const early = [];
    pc.onicecandidate = ({ candidate }) => {
      if (candidate?.usernameFragment) one.generations.add(candidate.usernameFragment);
      const tell = () => say({ type: "candidate", session: one.session, candidate: candidate?.toJSON() ?? null });
      one.session ? tell() : early.push(tell);
    };
    if (type === "offer") {
      const { members } = await hear("joined");
      const worker = members.find((member) => member.role === "worker");
      const described = offer(pc, { to: worker.peer });
      one.session = (await hear("opened")).session;
      early.forEach((tell) => tell());
      await described;
    } else {
      const before = heard.filter(({ type }) => type === "init").length;
      say({ type, stream });
      const inits = () => heard.filter(({ type }) => type === "init");
      await until("init", () => inits().length > before || seen.ended || seen.error);
      if (inits().length === before) return null;
      one.session = inits().at(-1).session;
      await offer(pc, { session: one.session });
    }
    if (seen.ended) return null;
    await hear("ready", one.session);
    return one;
  };
  const look = async ({ type, pc, generations }) => {
    const stats = [...(await pc.getStats()).values()];
    const codecs = new Map(stats.filter((one) => one.type === "codec").map((one) => [one.id, one.mimeType]));
    const now = { state: pc.connectionState, frames: 0, packets: 0, energy: 0, codec: null, generations: generations.size };
    for (const one of stats.filter((stat) => stat.type === (type === "play" ? "inbound-rtp" : "outbound-rtp"))) {
      if (one.kind === "video") {
        Object.assign(now, { frames: one.framesSent ?? one.framesDecoded ?? 0, codec: codecs.get(one.codecId) ?? null });
      } else {
        Object.assign(now, { packets: one.packetsSent ?? one.packetsReceived ?? 0, energy: one.totalAudioEnergy ?? 0 });
      }
    }
    return now;
  };
  const flows = async (one, more) => {
    const from = (await look(one)).frames;
    const end = performance.now() + patience;
    while ((await look(one)).frames < from + more && performance.now() < end) await wait(50);
  };

  await hello();
  if (room) {
    say({ type: "join", room });
    await hear("joined");
  }
  const sessions = [];
  for (const type of { both: ["publish", "play"] }[mode] ?? [mode]) {
    const one = await begin(type);
    if (!one) return seen;
    sessions.push(one);
    // Who plays what it publishes finds it begun.
    await flows(one, 30);
  }
  const [first] = sessions;
  if (restart) {
    first.pc.restartIce();
    await offer(first.pc, { session: first.session });
    await flows(first, 15);
  }
  if (lose) {
    socket.onmessage = null;
    socket.close();
    await flows(first, 15);
    await hello();
  }
  await wait(seconds * 1000);
  for (const one of sessions) seen[one.type] = await look(one);
  for (const one of sessions.reverse()) {
    say({ type: "hangup", session: one.session });
    await hear("ended", one.session);
    one.pc.close();
  }
  say({ type: "bye" });
  await hear("closed");
  return seen;
}

async function main() {
  const [modules, mode, origin, stream, seconds, codec = "any"] = process.argv.slice(2);
  if (!["publish", "play", "both", "offer"].includes(mode) || !(Number(seconds) > 0)) {
    console.error("usage: node signaled.mjs MODULES publish|play|both|offer ORIGIN STREAM SECONDS [CODEC]");
    process.exit(2);
  }
  const { browser, close } = await open(modules, { camera: true, patience: 2 * PATIENCE });
  try {
    const page = await browser.newPage();
    // Any page of the listener will do: it is of the same origin, and secure, being of this machine.
    await page.goto(new URL("/healthz", origin).href);
    const { ROOM: room, RESTART: restart, LOSE: lose, GARBLE: garble } = process.env;
    const what = { mode, stream, seconds: Number(seconds), codec, room, restart, lose, garble, patience: PATIENCE };
    console.log(JSON.stringify(await page.evaluate(converse, what)));
  } finally {
    await close();
  }
}

await main();
