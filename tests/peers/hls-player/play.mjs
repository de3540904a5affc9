// Plays an HLS presentation in headless Chromium with hls.js and says whether it moves.
//
//   node tests/peers/hls-player/play.mjs DIRECTORY [options]
//
//   --playlist NAME      in the directory (index.m3u8)
//   --until SECONDS      currentTime that has to be passed (1.5)
//   --to-end             play until the end instead, 8 times as fast where the browser can
//   --audio-only         frames are not asked for
//   --timeout SECONDS    for everything together (30)
//   --screenshot FILE    a PNG of the page at the end
//
// Prints one line of JSON: { ok, reason, currentTime, frames, dropped, ... }. Exit code 0 when it played, 1 when it did not,
// 2 when the command is wrong or a peer is missing. CHROMIUM names another browser.

import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const MODULES = path.resolve(HERE, "../../../target/peers/node/node_modules");
const TYPES = {
  ".m3u8": "application/vnd.apple.mpegurl",
  ".ts": "video/mp2t",
  ".m4s": "video/iso.segment",
  ".mp4": "video/mp4",
  ".aac": "audio/aac",
  ".vtt": "text/vtt",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
};
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  "--autoplay-policy=no-user-gesture-required",
];
const POLL_MS = 100;
// What the browser may take to close before it is killed.
const CLOSE_MS = 3000;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function usage(message) {
  console.error(`${message}\nusage: play.mjs DIRECTORY [--playlist NAME] [--until S] [--to-end] [--audio-only] [--timeout S] [--screenshot FILE]`);
  process.exit(2);
}

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      playlist: { type: "string", default: "index.m3u8" },
      until: { type: "string", default: "1.5" },
      "to-end": { type: "boolean", default: false },
      "audio-only": { type: "boolean", default: false },
      timeout: { type: "string", default: "30" },
      screenshot: { type: "string" },
    },
  });
  const [directory] = positionals;
  const [until, timeout] = [Number(values.until), Number(values.timeout)];
  if (positionals.length !== 1 || !(until >= 0) || !(timeout > 0)) usage("one directory, and numbers where they belong");
  if (!existsSync(path.join(directory, values.playlist))) usage(`${path.join(directory, values.playlist)} is not there`);
  return { ...values, directory, until, timeout };
}

/** Serves the presentation below /media/, the page and hls.js below /player/, on a free port of 127.0.0.1. */
async function serve(directory) {
  const hls = path.join(MODULES, "hls.js/dist/hls.js");
  const player = { "/player/": path.join(HERE, "index.html"), "/player/hls.js": hls };
  const server = createServer(async (request, response) => {
    const name = decodeURIComponent(new URL(request.url, "http://127.0.0.1").pathname);
    const root = path.resolve(directory);
    const file = player[name] ?? path.resolve(root, `.${name.replace(/^\/media/, "")}`);
    const allowed = name in player || (name.startsWith("/media/") && file.startsWith(root + path.sep));
    const size = allowed ? await stat(file).then((s) => (s.isFile() ? s.size : null), () => null) : null;
    if (size === null) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[path.extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "Content-Type": type, "Content-Length": size, "Cache-Control": "no-store" });
    // A file that shrinks or goes away meanwhile ends this answer only.
    createReadStream(file).on("error", () => response.destroy()).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

function judge(state, { until, ...wanted }) {
  const shows = wanted["audio-only"] || state.frames > 0;
  if (state.fatal) return { done: true, ok: false, reason: "hls.js gave up" };
  const there = wanted["to-end"] ? state.ended : state.currentTime > until;
  return { done: there && shows, ok: there && shows, reason: there && !shows ? "no frame was shown" : "it does not move" };
}

async function play(browser, wanted, deadline) {
  const server = await serve(wanted.directory);
  try {
    const origin = `http://127.0.0.1:${server.address().port}`;
    const page = await browser.newPage();
    const source = encodeURIComponent(`${origin}/media/${encodeURIComponent(wanted.playlist)}`);
    await page.goto(`${origin}/player/?src=${source}`, { waitUntil: "load" });
    if (wanted["to-end"]) await page.evaluate(() => (document.querySelector("video").defaultPlaybackRate = 8));
    let state = {};
    let verdict = { done: false };
    while (!verdict.done && Date.now() < deadline) {
      await wait(POLL_MS);
      state = await page.evaluate(() => window.verdict());
      verdict = judge(state, wanted);
    }
    if (wanted.screenshot) await page.screenshot({ path: wanted.screenshot });
    const reason = verdict.ok ? null : (verdict.reason ?? "it did not start");
    return { ok: verdict.ok === true, reason, ...state };
  } finally {
    server.closeAllConnections?.();
    server.close();
  }
}

async function launch(timeout) {
  const require = createRequire(path.join(MODULES, "play.js"));
  const puppeteer = require("puppeteer-core");
  const browsers = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const executablePath = browsers.find((file) => file && existsSync(file));
  if (!executablePath) throw new Error("no chromium");
  return puppeteer.launch({ executablePath, headless: true, args: FLAGS, timeout });
}

const wanted = options();
const deadline = Date.now() + wanted.timeout * 1000;
let browser;
// Whatever hangs, this ends: the last resort comes after the orderly ways out.
const lastResort = setTimeout(() => {
  console.log(JSON.stringify({ ok: false, reason: "timeout" }));
  browser?.process()?.kill("SIGKILL");
  process.exit(1);
}, wanted.timeout * 1000 + CLOSE_MS);

try {
  browser = await launch(wanted.timeout * 1000);
} catch (error) {
  console.error(`a peer is missing; \`cargo xtask setup\` brings it: ${error.message}`);
  process.exit(2);
}
let verdict;
try {
  verdict = await play(browser, wanted, deadline);
} catch (error) {
  verdict = { ok: false, reason: error.message };
}
console.log(JSON.stringify(verdict));
process.exitCode = verdict.ok ? 0 : 1;
await Promise.race([browser.close(), wait(CLOSE_MS)]);
browser.process()?.kill("SIGKILL");
clearTimeout(lastResort);
process.exit();
