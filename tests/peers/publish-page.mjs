// Publishes a fake camera with the publish page in headless Chromium, as a person does, and says what was seen.
//
//   node publish-page.mjs MODULES PAGE FRAMES [CODEC [KEY [SCREENSHOT.png]]]
//
// MODULES is the folder whose node_modules hold puppeteer-core (target/peers/node). PAGE is the URL of the page, CODEC one of those that it
// offers (`H264`), FRAMES the pictures after which is stopped. CHROMIUM names another browser than /usr/bin/chromium. Prints one JSON object
// with what the page shows while it publishes, or when it has given up, and after it was stopped:
//
//   { during: { state, ice, trouble, facts, width }, after: the same, errors }
//
// Exit code 0 when the page said something, 1 when it never did, 2 when the command is wrong.

import { open } from "./browser.mjs";

/// Longest wait for anything, in ms: many times what it takes, for a busy machine.
const PATIENCE = 60_000;

/// Runs in the page: what it shows.
function look() {
  const text = (selector) => document.querySelector(selector).textContent;
  const facts = [...document.querySelectorAll("#facts div")].map((fact) => [fact.children[0].textContent, fact.children[1].textContent]);
  return {
    state: text("#state"), ice: text("#ice"), trouble: text("#trouble"), facts: Object.fromEntries(facts),
    width: document.querySelector("video").videoWidth,
  };
}

async function visit(page, url, frames, codec, key, screenshot) {
  await page.setViewport({ width: 1280, height: 800 });
  await page.goto(url);
  if (codec) await page.select("#codec", `video/${codec}`);
  if (key) await page.type("#key", key);
  await page.click("#start");
  const enough = (least) => {
    const sent = [...document.querySelectorAll("#facts div")].find((fact) => fact.children[0].textContent === "Pictures sent");
    return !document.querySelector("#trouble").hidden || Number(sent?.children[1].textContent) >= least;
  };
  await page.waitForFunction(enough, { timeout: PATIENCE, polling: 100 }, frames);
  const during = await page.evaluate(look);
  if (screenshot) await page.screenshot({ path: screenshot });
  if (!during.trouble) await page.click("#stop");
  return { during, after: await page.evaluate(look) };
}

async function main() {
  const [modules, url, frames, codec, key, screenshot] = process.argv.slice(2);
  if (!(Number(frames) > 0)) {
    console.error("usage: node publish-page.mjs MODULES PAGE FRAMES [CODEC [KEY [SCREENSHOT.png]]]");
    process.exit(2);
  }
  const { browser, close } = await open(modules, { camera: true, patience: 2 * PATIENCE });
  try {
    const page = await browser.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    console.log(JSON.stringify({ ...(await visit(page, url, Number(frames), codec, key, screenshot)), errors }));
  } finally {
    await close();
  }
}

await main();
