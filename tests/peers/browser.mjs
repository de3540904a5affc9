// Starts a headless browser for the scripts beside this one.
//
// CHROMIUM and FIREFOX name other programs than /usr/bin/chromium and /usr/bin/firefox-esr.

import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/// Chromium without a GPU, a sandbox (tests may run as root) or connections of its own. Shared memory is small in containers.
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required",
];

/// A picture and a tone in place of camera and microphone, which nobody is asked for.
const CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/// The same for Firefox.
const PREFERENCES = {
  "media.navigator.streams.fake": true, "media.navigator.permission.disabled": true, "media.autoplay.default": 0,
  "media.gmp-manager.updateEnabled": false, "app.update.enabled": false,
};

/// What finds the packages of MODULES, the folder whose node_modules hold puppeteer-core (target/peers/node).
export const packages = (modules) => createRequire(join(resolve(modules), "package.json"));

/// A browser with a profile of its own: `firefox` or Chromium, with a `camera`, without `sound` if it is `muted`. `patience` is how long a
/// call into a page may take, in ms. Gives it and what ends it.
export async function open(modules, { firefox = false, camera = false, muted = false, patience = 180_000 } = {}) {
  const { default: puppeteer } = await import(packages(modules).resolve("puppeteer-core"));
  const profile = await mkdtemp(join(tmpdir(), "millstream-browser-"));
  const common = { headless: true, userDataDir: profile, protocolTimeout: patience };
  const args = [...FLAGS, ...(camera ? CAMERA : []), ...(muted ? ["--mute-audio"] : [])];
  const browser = await puppeteer.launch(firefox
    ? { ...common, browser: "firefox", executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr", extraPrefsFirefox: PREFERENCES }
    : { ...common, executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
  const close = async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  };
  return { browser, close };
}
