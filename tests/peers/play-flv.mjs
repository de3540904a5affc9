// Plays a live HTTP-FLV stream to its end in headless Chromium with mpegts.js, and says what was seen.
//
//   node play-flv.mjs MODULES URL
//
// MODULES is the folder whose node_modules hold mpegts.js and puppeteer-core (target/peers/node). CHROMIUM names another browser than
// /usr/bin/chromium. The page comes from another origin than the stream, so the stream has to allow that. Prints one JSON object:
//
//   { ended, currentTime, frames, audioBytes, width, height, errors }
//
// Exit code 0 when it ended without an error, 1 otherwise, 2 when the command is wrong.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";

import { open, packages } from "./browser.mjs";

/// Longest time for everything, in ms: many times what a clip takes, for a busy machine.
const PATIENCE = 60_000;

const PAGE = `<!doctype html><title>FLV</title><video muted playsinline></video><script src="/mpegts.js"></script>`;

/// Runs in the page: begins to play.
function begin(url) {
  const video = document.querySelector("video");
  window.player = { video, errors: [] };
  const player = mpegts.createPlayer({ type: "flv", isLive: true, url });
  player.on(mpegts.Events.ERROR, (kind, detail, info) => window.player.errors.push(`${kind} ${detail} ${info?.msg ?? ""}`));
  video.addEventListener("error", () => window.player.errors.push(`video: ${video.error?.message}`));
  player.attachMediaElement(video);
  player.load();
  player.play();
}

/// Runs in the page: whether it has come to an end, good or bad.
function over() {
  return window.player.video.ended || window.player.errors.length > 0;
}

/// Runs in the page: what was seen.
function result() {
  const { video, errors } = window.player;
  return {
    ended: video.ended, currentTime: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames,
    audioBytes: video.webkitAudioDecodedByteCount, width: video.videoWidth, height: video.videoHeight, errors,
  };
}

async function main() {
  const [modules, url] = process.argv.slice(2);
  if (url === undefined) {
    console.error("usage: node play-flv.mjs MODULES URL");
    process.exit(2);
  }
  const require = packages(modules);
  const script = await readFile(require.resolve("mpegts.js/dist/mpegts.js"));
  const server = createServer((request, response) =>
    request.url === "/mpegts.js" ? response.end(script) : response.setHeader("content-type", "text/html").end(PAGE));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { browser, close } = await open(modules, { muted: true });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}`);
    await page.evaluate(begin, url);
    // What has not ended by then is told as it is.
    await page.waitForFunction(over, { timeout: PATIENCE, polling: 100 }).catch(() => {});
    const seen = await page.evaluate(result);
    console.log(JSON.stringify(seen));
    process.exitCode = seen.ended && seen.errors.length === 0 ? 0 : 1;
  } finally {
    await close();
    server.closeAllConnections?.();
    server.close();
  }
}

await main();
