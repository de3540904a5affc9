// Opens the watch page of a listener in headless Chromium, plays a stream, and says what was seen.
//
//   node play-watch.mjs MODULES PAGE SECONDS [SCREENSHOT.png]
//
// MODULES is the folder whose node_modules hold puppeteer-core (target/peers/node). PAGE is the URL with the stream and how to play it:
// http://127.0.0.1:8080/watch#stream=live/cam&as=hls. CHROMIUM names another browser than /usr/bin/chromium. Watches until that many
// seconds have been played, and prints one JSON object:
//
//   { currentTime, frames, audioBytes, audioEnergy, width, height, library, way, delays, streams, images, trouble, errors }
//
// `audioEnergy` is that of what came by WebRTC, where `audioBytes` counts nothing. `way` is what plays, `delays` has the buttons of all ways with the delays that they show, `streams` has the names as the page shows them, `images` counts images that it made of them, `errors` what scripts and the network said.
// Exit code 0 when the seconds were played, 1 otherwise, 2 when the command is wrong.

import { open } from "./browser.mjs";

/// Longest time for everything, in ms: many times what is watched, for a busy machine.
const PATIENCE = 60_000;

/// Runs before the page does: keeps its latest connection for `look`.
function keep() {
  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Connection {
    constructor(...settings) {
      super(...settings);
      window.latestConnection = this;
    }
  };
}

/// Runs in the page: what is seen.
async function look() {
  const video = document.querySelector("video");
  const stats = [...((await window.latestConnection?.getStats())?.values() ?? [])];
  return {
    currentTime: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames, audioBytes: video.webkitAudioDecodedByteCount,
    audioEnergy: stats.find((one) => one.type === "inbound-rtp" && one.kind === "audio")?.totalAudioEnergy ?? 0,
    width: video.videoWidth, height: video.videoHeight, library: window.Hls ? "hls.js" : window.mpegts ? "mpegts.js" : null,
    way: document.querySelector("#ways [aria-pressed=true]")?.firstChild.textContent,
    delays: Object.fromEntries([...document.querySelectorAll("#ways button")].map((one) => [one.firstChild.textContent, one.children[0]?.textContent ?? null])),
    streams: [...document.querySelectorAll("#streams strong")].map((name) => name.textContent),
    images: document.querySelectorAll("img").length, trouble: document.querySelector("#trouble").textContent,
  };
}

/// Runs in the page: the time that has been played, wherever it began.
function played() {
  const { played } = document.querySelector("video");
  let seconds = 0;
  for (let range = 0; range < played.length; range += 1) seconds += played.end(range) - played.start(range);
  return seconds;
}

async function main() {
  const [modules, url, seconds, screenshot] = process.argv.slice(2);
  if (!(Number(seconds) > 0)) {
    console.error("usage: node play-watch.mjs MODULES PAGE SECONDS [SCREENSHOT.png]");
    process.exit(2);
  }
  const { browser, close } = await open(modules, { muted: true });
  try {
    const page = await browser.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.setViewport({ width: 1280, height: 900 });
    await page.evaluateOnNewDocument(keep);
    await page.goto(url);
    // A muted element counts no energy.
    await page.evaluate(() => (document.querySelector("video").muted = false));
    // What has not been played by then is told as it is.
    const enough = `(${played})() >= ${Number(seconds)}`;
    const done = await page.waitForFunction(enough, { timeout: PATIENCE, polling: 100 }).then(() => true, () => false);
    if (screenshot) await page.screenshot({ path: screenshot });
    console.log(JSON.stringify({ ...(await page.evaluate(look)), errors }));
    process.exitCode = done ? 0 : 1;
  } finally {
    await close();
  }
}

await main();
