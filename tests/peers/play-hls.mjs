// Plays HLS presentations to their ends in headless Chromium with hls.js, all in one page, and says what was seen.
//
//   node play-hls.mjs MODULES [--screenshot FILE] [--rate N] [--live SECONDS] PLAYLIST.m3u8 ...
//
// A playlist is a file or a URL. With --live it does not end: seconds of it are watched, the screenshot is made behind them and has the pictures
// of the first playlist at their own size, nothing else.
// MODULES is the folder whose node_modules hold hls.js and puppeteer-core (target/peers/node). CHROMIUM names another browser than
// /usr/bin/chromium. Prints one JSON object a playlist, in their order:
//
//   { playlist, ended, currentTime, duration, frames, dropped, width, height, segments, errors }
//
// `frames` counts the decoded pictures, `dropped` those of them that came too late to be shown, `errors` what hls.js and the video element said
// ({ what, fatal }). Exit code 0 when all ended (or were watched) without a fatal error, 1 otherwise, 2 when the command is wrong.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { basename, dirname, extname, join, normalize, resolve } from "node:path";
import { parseArgs } from "node:util";

import { open, packages } from "./browser.mjs";

/// Longest time for everything, in ms: many times what the longest presentation takes, for a busy machine.
const PATIENCE = 90_000;

const TYPES = { ".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".m4s": "video/mp4", ".mp4": "video/mp4" };

const PAGE = `<!doctype html><title>HLS</title>
<style>body { margin: 4px; background: #222; color: #ddd; font: 12px sans-serif; display: flex; flex-wrap: wrap; gap: 4px }
figure { margin: 0 } video { display: block; width: 240px; height: 135px; background: #000 }</style>
<script src="/hls.js"></script>`;

/// Serves the page, hls.js, and the folder of each playlist under its number; nothing outside these folders.
function serve(script, folders) {
  return createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const [, number, ...rest] = path.split("/");
    try {
      if (path === "/") return response.setHeader("content-type", "text/html").end(PAGE);
      if (path === "/hls.js") return response.end(await readFile(script));
      const body = await readFile(join(folders[Number(number)], ...rest));
      response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
}

/// Runs in the page: begins to play every URL.
function begin(urls, rate) {
  window.players = urls.map(([name, url]) => {
    const figure = document.body.appendChild(document.createElement("figure"));
    const video = figure.appendChild(document.createElement("video"));
    figure.append(name);
    Object.assign(video, { muted: true, playsInline: true, defaultPlaybackRate: rate });
    const player = { video, segments: 0, errors: [], fatal: false };
    const hls = new Hls();
    const note = (what, fatal) => {
      player.errors.push({ what, fatal });
      player.fatal ||= fatal;
    };
    video.addEventListener("error", () => note(`video: ${video.error?.message}`, true));
    hls.on(Hls.Events.ERROR, (_, data) => note(`${data.details} ${data.error?.message ?? ""}`.trim(), data.fatal));
    hls.on(Hls.Events.FRAG_BUFFERED, () => (player.segments += 1));
    hls.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch((error) => note(`play: ${error.message}`, true)));
    hls.loadSource(url);
    hls.attachMedia(video);
    return player;
  });
}

/// Runs in the page: whether every player has come to an end, good or bad.
function over(live) {
  const { video, fatal } = window.players[0];
  const seconds = [...Array(video.played.length).keys()].reduce((sum, n) => sum + video.played.end(n) - video.played.start(n), 0);
  return live ? fatal || seconds >= live : window.players.every(({ video, fatal }) => video.ended || fatal);
}

/// Runs in the page: only the pictures of the first player, as large as they are.
function only() {
  const { video } = window.players[0];
  Object.assign(video.style, { width: `${video.videoWidth}px`, height: `${video.videoHeight}px` });
  document.body.replaceChildren(video);
}

/// Runs in the page: what was seen.
function results() {
  return window.players.map(({ video, segments, errors }) => {
    const quality = video.getVideoPlaybackQuality();
    return {
      ended: video.ended, currentTime: video.currentTime, duration: Number.isFinite(video.duration) ? video.duration : null,
      frames: quality.totalVideoFrames, dropped: quality.droppedVideoFrames, width: video.videoWidth, height: video.videoHeight,
      segments, errors,
    };
  });
}

function isUrl(playlist) {
  return /^https?:/.test(playlist);
}

async function play(browser, origin, playlists, { rate, screenshot, live }) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1000, height: 640 });
  await page.goto(origin);
  const name = (file) => basename(dirname(resolve(file)));
  const address = (file, number) => (isUrl(file) ? file : `${origin}/${number}/${encodeURIComponent(basename(file))}`);
  await page.evaluate(begin, playlists.map((file, number) => [name(file), address(file, number)]), rate);
  const half = screenshot && !live ? new Promise((done) => setTimeout(done, 2000)).then(() => page.screenshot({ path: screenshot })) : null;
  // What has not ended by then is told as it is.
  await page.waitForFunction(over, { timeout: PATIENCE, polling: 100 }, live).catch(() => {});
  await half;
  const seen = await page.evaluate(results);
  if (screenshot && live) {
    await page.evaluate(only);
    await page.locator("video").waitHandle().then((video) => video.screenshot({ path: screenshot }));
  }
  return seen;
}

async function main() {
  const options = { screenshot: { type: "string" }, rate: { type: "string", default: "1" }, live: { type: "string", default: "0" } };
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const [modules, ...playlists] = positionals;
  const [rate, live] = [Number(values.rate), Number(values.live)];
  if (playlists.length === 0 || !(rate > 0) || !(live >= 0)) {
    console.error("usage: node play-hls.mjs MODULES [--screenshot FILE] [--rate N] [--live SECONDS] PLAYLIST.m3u8 ...");
    process.exit(2);
  }
  const server = serve(packages(modules).resolve("hls.js/dist/hls.min.js"), playlists.map((file) => dirname(resolve(file))));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { browser, close } = await open(modules, { muted: true });
  try {
    const origin = `http://127.0.0.1:${server.address().port}`;
    const seen = await play(browser, origin, playlists, { rate, screenshot: values.screenshot, live });
    seen.forEach((result, number) => console.log(JSON.stringify({ playlist: playlists[number], ...result })));
    process.exitCode = seen.every(({ ended, errors }) => (ended || live) && !errors.some((error) => error.fatal)) ? 0 : 1;
  } finally {
    await close();
    server.closeAllConnections?.();
    server.close();
  }
}

await main();
