// Two people call each other on the call page, each in a headless Chromium of its own with a fake camera, and says what both saw.
//
//   node call.mjs MODULES PAGE FRAMES [SCREENSHOT.png]
//
// MODULES is the folder whose node_modules hold puppeteer-core (target/peers/node). PAGE is the URL of the page. Waits until both have decoded so many pictures, then
// hangs up, and prints one JSON object:
//
//   { alice: SEEN, bob: SEEN, after: { alice, bob } }
//
// SEEN is { server, ice, connection, frames, audioPackets, width, codec, local, remote, trouble, errors }: the words of the page, and what getStats counts. `after` has
// the words of the page once it is over. POLICY names a codec of pictures that the room goes over to in the call, RELAY=1 allows relayed addresses only; LOSE=1 cuts
// Bob's connection to the server in the call, which must go on. BOB=firefox gives Bob a Firefox. CHROMIUM and FIREFOX name other browsers than /usr/bin/chromium and
// /usr/bin/firefox-esr. Exit code 0 when it went well, 1 otherwise.

import { open } from "./browser.mjs";

/// Longest time for each step, in ms: many times what it takes, for a busy machine.
const PATIENCE = 60_000;

/// Runs in the page: what is seen.
async function look() {
  const words = (id) => document.getElementById(id).textContent;
  const seen = (await window.call.state.session?.stats()) ?? {};
  return { server: words("server"), ice: words("ice"), connection: words("connection"), trouble: words("trouble"), ...seen };
}

class Person {
  errors = [];

  static async come(modules, url, name, which) {
    const person = new Person();
    Object.assign(person, await open(modules, { firefox: which === "firefox", camera: true, muted: true }));
    const page = (person.page = await person.browser.newPage());
    page.on("pageerror", (error) => person.errors.push(error.message));
    page.on("console", (message) => message.type() === "error" && person.errors.push(message.text()));
    if (process.env.RELAY) await page.evaluateOnNewDocument(() => (window.RELAY_ONLY = true));
    await page.setViewport({ width: 1280, height: 800 });
    await page.goto(url);
    await page.type("#name", name);
    if (process.env.KEY) await page.type("#key", process.env.KEY);
    await page.click("#join button");
    await person.until("!document.getElementById('talk').hidden");
    return person;
  }

  until(what) {
    return this.page.waitForFunction(what, { timeout: PATIENCE, polling: 100 });
  }

  async seen() {
    return { ...(await this.page.evaluate(look)), errors: this.errors };
  }

  async decodes(frames) {
    const enough = `(async () => ((await window.call.state.session?.stats())?.frames ?? 0) >= ${frames})()`;
    const until = Date.now() + PATIENCE;
    while (!(await this.page.evaluate(enough)) && Date.now() < until) await new Promise((done) => setTimeout(done, 200));
  }

  leave() {
    return this.close();
  }
}

async function main() {
  const [modules, url, frames, screenshot] = process.argv.slice(2);
  if (!(Number(frames) > 0)) {
    console.error("usage: node call.mjs MODULES PAGE FRAMES [SCREENSHOT.png]");
    process.exit(2);
  }
  const [alice, bob] = await Promise.all(["Alice", "Bob"].map((name) => Person.come(modules, url, name, name === "Bob" ? process.env.BOB : null)));
  const both = [alice, bob];
  try {
    await alice.until("[...document.querySelectorAll('#people button')].length === 1");
    await alice.page.click("#people button");
    await bob.until("!document.getElementById('ring').hidden");
    await bob.page.click("#accept");
    await Promise.all(both.map((one) => one.decodes(Number(frames))));
    if (process.env.POLICY) {
      await bob.page.evaluate((video) => window.call.signaling.say({ type: "policy", room: "lobby", video: [video] }), process.env.POLICY);
      const changed = `(async () => (await window.call.state.session.stats()).codec === "video/${process.env.POLICY}")()`;
      await Promise.all(both.map((one) => one.until(changed)));
    }
    if (process.env.LOSE) {
      // The page hears of a loss as of any other: the socket is gone.
      await bob.page.evaluate(() => window.call.signaling.lose());
      await bob.until("document.getElementById('server').textContent === 'connected' && window.call.signaling.losses === 1");
      const soFar = await Promise.all(both.map((one) => one.seen()));
      await Promise.all(both.map((one, at) => one.decodes(soFar[at].frames + Number(frames))));
    }
    const [a, b] = await Promise.all(both.map((one) => one.seen()));
    if (screenshot) await alice.page.screenshot({ path: screenshot });
    await bob.page.click("#hangup");
    await Promise.all(both.map((one) => one.until("document.getElementById('hangup').hidden")));
    const after = await Promise.all(both.map((one) => one.page.evaluate(() => document.getElementById("trouble").textContent)));
    console.log(JSON.stringify({ alice: a, bob: b, after: { alice: after[0], bob: after[1] } }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message, seen: await Promise.all(both.map((one) => one.seen())) }));
    process.exitCode = 1;
  } finally {
    await Promise.all(both.map((one) => one.leave()));
  }
}

await main();
