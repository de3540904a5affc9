// Plays HLS presentations in headless Chromium with hls.js and says what was seen.
//
//   node play-hls.mjs MODULES PLAYLIST.m3u8 ...
//
// MODULES is the folder whose node_modules hold hls.js and puppeteer-core (target/peers/node). Prints one JSON object
// a playlist: { playlist, ok, currentTime, frames, width, height, duration, live, errors }. `ok` means that more than 1.5 s
// were played, or all of a shorter one, that frames were shown, and that hls.js met no fatal error. Exit code 1 if one is not ok.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { readFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, normalize, resolve } from "node:path";

/// Longest wait for one presentation, in ms. Playing takes two seconds; the rest is for a busy machine.
const PATIENCE = 40_000;

/// Chromium without a GPU, a sandbox (tests may run as root) or connections of its own.
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
];

const TYPES = { m3u8: "application/vnd.apple.mpegurl", ts: "video/mp2t", m4s: "video/mp4", mp4: "video/mp4" };

const PAGE = `<!doctype html><video id="v" muted playsinline></video><script src="/hls.js"></script>`;

/// Serves the page, hls.js, and the folder of each playlist under its number.
function serve(script, folders) {
  return createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const [, number, ...rest] = normalize(path).split("/");
    try {
      if (path === "/") return response.setHeader("content-type", "text/html").end(PAGE);
      if (path === "/hls.js") return response.end(await readFile(script));
      const body = await readFile(join(folders[Number(number)], ...rest));
      response.setHeader("content-type", TYPES[path.split(".").pop()] ?? "application/octet-stream").end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
}

/// Runs in the page: plays the URL until enough was seen, an error is fatal, or patience ends.
function play(url, patience) {
  return new Promise((done) => {
    const video = document.getElementById("v");
    const hls = new Hls({ enableWorker: false });
    const errors = [];
    const seen = (ok) => ({
      ok, errors, live: hls.levels[hls.currentLevel]?.details?.live ?? null,
      currentTime: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames,
      width: video.videoWidth, height: video.videoHeight, duration: Number.isFinite(video.duration) ? video.duration : null,
    });
    let started = null;
    const finish = (ok) => { clearInterval(timer); clearTimeout(limit); const result = seen(ok); hls.destroy(); done(result); };
    const timer = setInterval(() => {
      started ??= video.currentTime > 0 ? video.currentTime : null;
      const played = started !== null && (video.ended || video.currentTime - started > 1.5);
      const pictures = video.videoWidth === 0 || video.getVideoPlaybackQuality().totalVideoFrames > 0;
      if (played && pictures) finish(true);
    }, 50);
    const limit = setTimeout(() => finish(false), patience);
    hls.on(Hls.Events.ERROR, (_, data) => {
      errors.push({ details: data.details, fatal: data.fatal, reason: String(data.reason ?? data.error ?? "") });
      if (data.fatal) finish(false);
    });
    hls.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch((error) => errors.push({ details: String(error), fatal: false })));
    hls.loadSource(url);
    hls.attachMedia(video);
  });
}

async function main([modules, ...playlists]) {
  if (!modules || playlists.length === 0) throw new Error("usage: node play-hls.mjs MODULES PLAYLIST.m3u8 ...");
  const require = createRequire(join(resolve(modules), "package.json"));
  const { default: puppeteer } = await import(require.resolve("puppeteer-core"));
  const server = serve(require.resolve("hls.js/dist/hls.min.js"), playlists.map((file) => dirname(resolve(file))));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const profile = await mkdtemp(join(tmpdir(), "millstream-chromium-"));
  const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: FLAGS, userDataDir: profile });
  try {
    for (const [number, playlist] of playlists.entries()) {
      const page = await browser.newPage();
      const origin = `http://127.0.0.1:${server.address().port}`;
      await page.goto(origin);
      const result = await page.evaluate(play, `${origin}/${number}/${basename(playlist)}`, PATIENCE);
      console.log(JSON.stringify({ playlist, ...result }));
      if (!result.ok) process.exitCode = 1;
      await page.close();
    }
  } finally {
    await browser.close();
    server.close();
    await rm(profile, { recursive: true, force: true });
  }
}

await main(process.argv.slice(2));
