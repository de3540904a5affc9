// Publishes a fake camera over WHIP, or plays a stream over WHEP, in headless Chromium or Firefox, and says what was seen.
//
//   node webrtc.mjs MODULES publish|play ENDPOINT SECONDS [CODEC [TOKEN [SCREENSHOT.png]]]
//
// MODULES is the folder whose node_modules hold puppeteer-core (target/peers/node). ENDPOINT is the URL that is posted to. CODEC is the
// one that is offered for pictures (VP8, VP9, AV1, H264), or `any`. The variable BROWSER asks for `firefox`; CHROMIUM and FIREFOX name
// others than /usr/bin/chromium and /usr/bin/firefox-esr. Prints one JSON object with the status of the answer, its headers, its text, and
// what getStats() counted when SECONDS had passed since it was connected:
//
//   { status, location, etag, answer, state, video: { frames, keyFrames, codec, width, height, time }, audio: { packets, energy }, deleted }
//
// A stream is played until it has shown SECONDS of pictures. Exit code 0 when the endpoint answered, 2 when the command is wrong.

import { open } from "./browser.mjs";

/// Longest time for everything, in ms: many times what is watched, for a busy machine.
const PATIENCE = 90_000;

/// Runs in the page: makes the connection and waits until it has done what it should.
async function connect(mode, endpoint, seconds, codec, token, patience) {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const pc = new RTCPeerConnection();
  const prefer = (transceiver, kind) => {
    if (kind !== "video" || codec === "any") return;
    const of = mode === "publish" ? RTCRtpSender : RTCRtpReceiver;
    const all = of.getCapabilities("video").codecs;
    transceiver.setCodecPreferences(all.filter((one) => [`video/${codec}`, "video/rtx"].includes(one.mimeType)));
  };
  const shown = new MediaStream();
  if (mode === "publish") {
    const camera = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360, frameRate: 30 } });
    for (const track of camera.getTracks()) {
      prefer(pc.addTransceiver(track, { direction: "sendonly", streams: [camera] }), track.kind);
    }
  } else {
    for (const kind of ["video", "audio"]) prefer(pc.addTransceiver(kind, { direction: "recvonly" }), kind);
    pc.ontrack = ({ track }) => shown.addTrack(track);
    const video = document.createElement("video");
    Object.assign(video, { srcObject: shown, autoplay: true, playsInline: true });
    document.body.replaceChildren(video);
  }
  await pc.setLocalDescription();
  const authorization = token ? { authorization: `Bearer ${token}` } : {};
  const headers = { "content-type": "application/sdp", ...authorization };
  const response = await fetch(endpoint, { method: "POST", headers, body: pc.localDescription.sdp });
  const text = await response.text();
  const seen = {
    status: response.status, location: response.headers.get("location"), etag: response.headers.get("etag"), answer: text,
    video: {}, audio: {}, connectedAfter: null, firstPictureAfter: null,
  };
  if (response.status !== 201) return seen;
  const asked = performance.now();
  await pc.setRemoteDescription({ type: "answer", sdp: text });
  const look = async () => {
    const stats = [...(await pc.getStats()).values()];
    const codecs = new Map(stats.filter((one) => one.type === "codec").map((one) => [one.id, one.mimeType]));
    const way = mode === "publish" ? "outbound-rtp" : "inbound-rtp";
    for (const one of stats.filter((stat) => stat.type === way)) {
      const name = codecs.get(one.codecId) ?? null;
      if (one.kind === "video") {
        seen.video = {
          frames: one.framesSent ?? one.framesDecoded ?? 0, keyFrames: one.keyFramesEncoded ?? one.keyFramesDecoded ?? 0, codec: name,
          width: one.frameWidth ?? 0, height: one.frameHeight ?? 0, freezes: one.freezeCount ?? 0, lost: one.packetsLost ?? 0,
          asked: (one.pliCount ?? 0) + (one.firCount ?? 0), nacks: one.nackCount ?? 0,
        };
      } else {
        seen.audio = { packets: one.packetsSent ?? one.packetsReceived ?? 0, energy: one.totalAudioEnergy ?? 0, codec: name };
      }
    }
    seen.state = pc.connectionState;
  };
  let begun = null;
  while (performance.now() - asked < patience) {
    await look();
    if (pc.connectionState === "connected") seen.connectedAfter ??= performance.now() - asked;
    if ((seen.video.frames ?? 0) > 0 || (mode === "publish" && (seen.audio.packets ?? 0) > 0)) {
      seen.firstPictureAfter ??= performance.now() - asked;
      begun ??= performance.now();
    }
    if (begun !== null && performance.now() - begun > seconds * 1000) break;
    await wait(20);
  }
  const video = document.querySelector("video");
  if (video) {
    const canvas = new OffscreenCanvas(64, 36);
    const paint = canvas.getContext("2d");
    paint.drawImage(video, 0, 0, 64, 36);
    const { data } = paint.getImageData(0, 0, 64, 36);
    const levels = data.filter((_, index) => index % 4 !== 3);
    seen.video.time = video.currentTime;
    seen.video.brightest = Math.max(...levels);
    seen.video.darkest = Math.min(...levels);
  }
  window.leave = async () => {
    const left = seen.location && (await fetch(new URL(seen.location, endpoint), { method: "DELETE", headers: authorization }));
    pc.close();
    return left?.status ?? null;
  };
  return seen;
}

async function main() {
  const [modules, mode, endpoint, seconds, codec = "any", token = "", screenshot] = process.argv.slice(2);
  if (!["publish", "play"].includes(mode) || !(Number(seconds) > 0)) {
    console.error("usage: node webrtc.mjs MODULES publish|play ENDPOINT SECONDS [CODEC [TOKEN [SCREENSHOT.png]]]");
    process.exit(2);
  }
  const firefox = process.env.BROWSER === "firefox";
  const { browser, close } = await open(modules, { firefox, camera: true, patience: 2 * PATIENCE });
  try {
    const page = await browser.newPage();
    // Any page of the listener will do: it is of the same origin, and secure, being of this machine.
    await page.goto(new URL("/healthz", endpoint).href);
    const seen = await page.evaluate(connect, mode, endpoint, Number(seconds), codec, token, PATIENCE);
    if (screenshot) await page.screenshot({ path: screenshot });
    seen.deleted = seen.status === 201 ? await page.evaluate(() => window.leave()) : null;
    console.log(JSON.stringify(seen));
  } finally {
    await close();
  }
}

await main();
