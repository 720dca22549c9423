// The page of a running server in a real browser: by mouse on a wide screen, and by keyboard alone on a phone's.
//
//     node page.mjs http://127.0.0.1:8077 SCREENSHOTS [/usr/bin/chromium]
//
// The server has the shipped adapters. Leaves wide.png and phone.png in the folder SCREENSHOTS, and ends with 1 at the first thing that
// is not as it should be. See README.md.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import puppeteer from "puppeteer-core";

const [url, screenshots, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
assert.ok(screenshots, "usage: node page.mjs URL SCREENSHOTS [CHROMIUM]");
const CODE = `public static int indexOf(int[] numbers, int wanted) {
    for (int i = 0; i < numbers.length; i++) {
        if (numbers[i] == wanted) {
            return i;
        }
    }
    return -1;
}`;
const PATIENCE = 120_000;

await mkdir(screenshots, { recursive: true });
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
try {
  await wide(await open({ width: 1280, height: 900 }));
  await phone(await open({ width: 390, height: 844, isMobile: true, hasTouch: true }));
} finally {
  await browser.close();
}

// The page, loaded; it may talk to its own server only, and has nothing to say on the console.
async function open(viewport) {
  const page = await browser.newPage();
  await page.setViewport(viewport);
  page.setDefaultTimeout(PATIENCE);
  page.on("request", (request) => {
    const own = [url, `blob:${url}`, "data:"].some((start) => request.url().startsWith(start));
    assert.ok(own, `it asked for ${request.url()}`);
  });
  page.on("pageerror", (error) => assert.fail(`an error on the page: ${error.message}`));
  page.on("console", (message) => assert.notEqual(message.type(), "error", `on the console: ${message.text()}`));
  await page.goto(url);
  await page.waitForSelector("#run:not([disabled])");
  return page;
}

async function wide(page) {
  await page.select("#adapter", "summarize-java");
  const asksForGraph = page.waitForRequest((request) => isGraph(request) && request.postData().includes("numbers"));
  const grown = await asked(page, async () => {
    await paste(page);
    await page.click("#run");
  });
  assert.ok(grown > 2, `the answer came in ${grown} pieces`);
  const summary = await text(page, "#answer");
  assert.match(await text(page, "#generation"), /^[0-9a-f]{12,}/);
  assert.ok((await page.$$("#times tr")).length >= 4, "each stage has its time");
  const graph = await again(await asksForGraph);
  assert.ok(graph.includes("numbers"), "the graph has the code's names");
  await drawn(page);
  await page.screenshot({ path: path.join(screenshots, "wide.png"), fullPage: true });

  // Without data flow there are fewer edges.
  const edges = (svg) => svg.split("<path").length - 1;
  const asksAgain = page.waitForRequest(isGraph);
  await page.click('#edges input[value="REACHING_DEF"]');
  const fewer = await again(await asksAgain);
  await drawn(page);
  assert.ok(edges(fewer) < edges(graph), `${edges(fewer)} edges without data flow, ${edges(graph)} with it`);

  // Another task, at once, on the same page.
  await page.select("#adapter", "translate-java-csharp");
  await asked(page, async () => {
    await paste(page);
    await page.click("#run");
  });
  assert.notEqual(await text(page, "#answer"), summary);
  console.log(`wide: "${summary.trim()}" in ${grown} pieces, a graph with ${edges(graph)} edges, and a translation`);
  await page.close();
}

// Nothing but keys: from field to field with Tab, and Ctrl+Enter to ask.
async function phone(page) {
  const overflows = () => page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  assert.equal(await overflows(), false, "the page is wider than the screen");
  const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.tagName);
  for (let tabs = 0; (await focused()) !== "adapter"; tabs++) {
    assert.ok(tabs < 5, "Tab does not lead to the adapters");
    await page.keyboard.press("Tab");
  }
  await page.keyboard.type("assert");
  await page.keyboard.press("Tab");
  assert.equal(await page.$eval("#adapter", (field) => field.value), "assert-java");
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), "TEXTAREA");
  await asked(page, async () => {
    await page.keyboard.down("Control");
    await page.keyboard.press("Enter");
    await page.keyboard.up("Control");
  });
  assert.ok((await text(page, "#answer")).trim(), "an answer");
  assert.equal(await overflows(), false, "with an answer the page is wider than the screen");
  await page.screenshot({ path: path.join(screenshots, "phone.png"), fullPage: true });
  console.log(`phone: "${(await text(page, "#answer")).trim()}" by keyboard alone`);
  await page.close();
}

async function paste(page) {
  await page.$eval(
    "#fields textarea",
    (field, code) => {
      field.value = code;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    },
    CODE,
  );
}

function isGraph(request) {
  return request.url().includes("/v1/cpg");
}

// The picture that the page asked for: what it shows itself is an image, which cannot be looked into.
async function again(request) {
  const answer = await fetch(request.url(), { method: "POST", body: request.postData(), headers: { "content-type": "application/json" } });
  assert.equal(answer.status, 200);
  return answer.text();
}

// Waits for the graph's picture.
function drawn(page) {
  return page.waitForFunction(() => {
    const image = document.querySelector("#graph:not(.stale) img");
    return image?.complete && image.naturalWidth > 0;
  });
}

// In how many pieces an answer came.
async function asked(page, ask) {
  await page.evaluate(() => {
    window.pieces = 0;
    const answer = document.querySelector("#answer");
    new MutationObserver(() => window.pieces++).observe(answer, { childList: true, characterData: true, subtree: true });
  });
  await ask();
  await page.waitForSelector("#facts[hidden]");
  await page.waitForSelector("#facts:not([hidden])");
  assert.equal(await page.$eval("#error", (error) => error.hidden), true, await text(page, "#error"));
  return page.evaluate(() => window.pieces);
}

function text(page, selector) {
  return page.$eval(selector, (element) => element.textContent);
}
