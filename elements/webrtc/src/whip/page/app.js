// The page that publishes a camera or a screen over WHIP (RFC 9725). What the server says is only ever text.

const find = (id) => document.getElementById(id);
const endpoint = document.querySelector("main").dataset.endpoint;

/// How long a way to the server is looked for, in milliseconds: browsers give up only after half a minute.
const PATIENCE = 12_000;

const ICE = {
  new: ["is not looked for yet", "wait"], checking: ["is looked for", "wait"], connected: ["found", "good"], completed: ["found", "good"],
  disconnected: ["interrupted, trying again", "wait"], failed: ["there is none", "bad"], closed: ["not looked for", ""],
};
const NO_WAY =
  "No way to the server was found: its UDP port does not answer. A firewall may block it, or the server says an address that is not reached from here; "
  + "its settings `udp` and `advertise` say which. Firefox does not reach 127.0.0.1: `udp: 0.0.0.0:PORT` helps there.";

let now = null;

function say(id, words, look = "") {
  find(id).textContent = words;
  find(id).className = look;
}

function tell(words) {
  find("trouble").textContent = words ?? "";
  find("trouble").hidden = !words;
}

/// What went wrong with the camera or the screen, in words.
function denied(error) {
  if (error.name === "NotAllowedError") return "The browser was not allowed to use it. Allow camera, microphone or screen for this page and try again.";
  if (error.name === "NotFoundError") return "There is no camera or no microphone.";
  if (error.name === "NotReadableError") return "Camera or microphone is in use by another program.";
  return `The picture cannot be taken: ${error.message}`;
}

/// What the server refused, in words.
async function refused(response) {
  const said = (await response.text()).trim();
  const why = {
    401: "The server wants a key: enter it and publish again.", 403: "The server does not take this key.", 404: "There is no such stream on the server.",
    406: "The server takes none of the codecs that were offered.", 409: "Somebody else publishes this stream.", 503: "The server is busy.",
  }[response.status];
  return [why ?? `The server refused (${response.status}).`, said && `It said: ${said}`].filter(Boolean).join(" ");
}

async function capture(source) {
  if (!navigator.mediaDevices) throw new Error("This page was opened over plain HTTP from another machine: browsers give out cameras over HTTPS only.");
  const sound = true;
  return source === "screen" ? navigator.mediaDevices.getDisplayMedia({ video: true, audio: sound })
    : navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 } }, audio: sound });
}

/// Every codec that the browser can send; retransmission and the like are none.
function codecs() {
  const all = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  return [...new Set(all.map((one) => one.mimeType))].filter((name) => !/rtx|red|ulpfec|flexfec/i.test(name));
}

/// Puts the chosen codec first; the others stay, unless the server takes that one only.
function prefer(transceiver, chosen) {
  if (!chosen || !transceiver.setCodecPreferences) return;
  const all = RTCRtpSender.getCapabilities("video").codecs;
  const [first, rest] = [all.filter((one) => one.mimeType === chosen), all.filter((one) => one.mimeType !== chosen)];
  transceiver.setCodecPreferences([...first, ...rest]);
}

async function publish() {
  tell(null);
  const turn = (now = { pc: new RTCPeerConnection(), key: find("key").value });
  const { pc } = turn;
  lock(true);
  say("state", "takes the picture …", "wait");
  try {
    turn.media = await capture(find("source").value);
  } catch (error) {
    return stop(denied(error));
  }
  if (now !== turn) return turn.media.getTracks().forEach((track) => track.stop());
  find("video").srcObject = turn.media;
  find("hint").hidden = true;
  for (const track of turn.media.getTracks()) {
    track.onended = () => now === turn && stop("The picture has ended: it was stopped in the browser, or the device is gone.");
    const transceiver = pc.addTransceiver(track, { direction: "sendonly", streams: [turn.media] });
    if (track.kind === "video") prefer(transceiver, find("codec").value);
  }
  pc.oniceconnectionstatechange = () => now === turn && say("ice", ...ICE[pc.iceConnectionState]);
  pc.onconnectionstatechange = () => now === turn && changed(turn);
  await offer(turn).catch((error) => now === turn && stop(`The server does not answer: ${error.message}`));
}

async function offer(turn) {
  const { pc, key } = turn;
  say("state", "asks the server …", "wait");
  await pc.setLocalDescription();
  const authorization = key ? { authorization: `Bearer ${key}` } : {};
  const headers = { "content-type": "application/sdp", ...authorization };
  const response = await fetch(endpoint, { method: "POST", headers, body: pc.localDescription.sdp });
  if (response.status !== 201) return now === turn && stop(await refused(response));
  turn.session = new URL(response.headers.get("location"), location.href);
  turn.authorization = authorization;
  if (now !== turn) return leave(turn);
  say("state", "connects …", "wait");
  turn.patience = setTimeout(() => now === turn && pc.connectionState !== "connected" && stop(NO_WAY), PATIENCE);
  await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
}

function changed(turn) {
  const state = turn.pc.connectionState;
  if (state === "connected") say("state", "on air", "good");
  if (state === "disconnected") say("state", "interrupted", "wait");
  if (state === "failed") stop(turn.hasBeen ? "The connection to the server was lost." : NO_WAY);
  turn.hasBeen ||= state === "connected";
}

/// Takes back what was published; the server sees by itself when this does not reach it.
function leave(turn) {
  clearTimeout(turn.patience);
  turn.pc.close();
  turn.media?.getTracks().forEach((track) => track.stop());
  if (turn.session) fetch(turn.session, { method: "DELETE", headers: turn.authorization, keepalive: true }).catch(() => {});
}

function stop(words) {
  const turn = now;
  now = null;
  if (turn) leave(turn);
  find("video").srcObject = null;
  find("hint").hidden = false;
  find("facts").replaceChildren();
  say("state", words ? "stopped" : "not any more", words ? "bad" : "");
  if (!words || find("ice").className !== "bad") say("ice", "not looked for");
  tell(words);
  lock(false);
}

function lock(is) {
  for (const id of ["source", "codec", "key"]) find(id).disabled = is;
  find("start").hidden = is;
  find("stop").hidden = !is;
}

async function draw() {
  const turn = now;
  if (turn?.pc.connectionState !== "connected") return;
  const stats = [...(await turn.pc.getStats()).values()];
  const sent = (kind) => stats.find((one) => one.type === "outbound-rtp" && one.kind === kind);
  const codec = (one) => stats.find((other) => other.id === one?.codecId)?.mimeType.split("/")[1] ?? "–";
  const [video, audio, pair] = [sent("video"), sent("audio"), stats.find((one) => one.type === "candidate-pair" && one.nominated)];
  const seconds = (performance.now() - (turn.at ?? 0)) / 1000;
  const bits = turn.bytes === undefined ? null : ((video?.bytesSent ?? 0) - turn.bytes) * 8 / seconds;
  Object.assign(turn, { bytes: video?.bytesSent ?? 0, at: performance.now() });
  if (now !== turn) return;
  const pairs = {
    Picture: codec(video), Size: video?.frameWidth ? `${video.frameWidth} × ${video.frameHeight}` : "–", "Pictures sent": String(video?.framesSent ?? 0),
    Bitrate: bits === null ? "–" : `${Math.round(bits / 1000)} kbit/s`, Sound: audio ? codec(audio) : "none",
    "Round trip": pair?.currentRoundTripTime === undefined ? "–" : `${Math.round(pair.currentRoundTripTime * 1000)} ms`,
  };
  find("facts").replaceChildren(...Object.entries(pairs).map(([term, value]) => {
    const holder = document.createElement("div");
    for (const [name, words] of [["dt", term], ["dd", value]]) holder.append(Object.assign(document.createElement(name), { textContent: words }));
    return holder;
  }));
}

find("title").textContent = decodeURIComponent(endpoint.split("/").slice(2).join("/"));
for (const name of codecs()) find("codec").append(new Option(name.split("/")[1], name));
find("form").addEventListener("submit", (event) => (event.preventDefault(), publish()));
find("stop").addEventListener("click", () => stop());
addEventListener("pagehide", () => now && leave(now));
setInterval(draw, 1000);
