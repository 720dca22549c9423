// llama.cpp on the same work as `transducer-engine`'s example batch_speed: new tokens a second, all requests together.
//
//     npm install node-llama-cpp @node-llama-cpp/linux-x64
//     node llama.mjs MODEL.gguf [--concurrent 1,4,16] [--prompt 128] [--new 64] [--rounds 5] [--threads 2] [--prefill 512]
//
// Prints one JSON object: {"new_tokens_per_second": {"1": …}, "prefill_tokens_per_second": …}, medians over the rounds.
import { getLlama } from "node-llama-cpp";

const [model, ...flags] = process.argv.slice(2);
const options = { concurrent: "1,4,16", prompt: 128, new: 64, rounds: 5, threads: 2, prefill: 512 };
for (let at = 0; at < flags.length; at += 2) options[flags[at].replace(/^--/, "")] = flags[at + 1];
const concurrent = options.concurrent.split(",").map(Number);
const [prompt, fresh, rounds, threads, prefill] = ["prompt", "new", "rounds", "threads", "prefill"].map((name) => Number(options[name]));

const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: "error" });
const loaded = await llama.loadModel({ modelPath: model });

// Any tokens do: what is computed does not depend on them. Requests differ, so that no prefix is shared.
const tokens = (count, request) => Array.from({ length: count }, (_, place) => 1000 + ((place * 7 + request * 131) % 10000));
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function answer(sequence, request) {
  await sequence.clearHistory();
  let made = 0;
  // The end token is a token like others here, so that every request makes as many.
  for await (const _ of sequence.evaluate(tokens(prompt, request), { temperature: 0, yieldEogToken: true })) {
    if (++made === fresh) break;
  }
  return made;
}

const speed = {};
for (const requests of concurrent) {
  const context = await loaded.createContext({
    sequences: requests, contextSize: prompt + fresh + 8, batchSize: Math.max(512, requests), threads: { ideal: threads, min: threads },
  });
  const sequences = Array.from({ length: requests }, () => context.getSequence());
  const times = [];
  for (let round = 0; round <= rounds; round++) {
    const begun = performance.now();
    const made = await Promise.all(sequences.map((sequence, request) => answer(sequence, request + round * requests)));
    const seconds = (performance.now() - begun) / 1000;
    if (round > 0) times.push(made.reduce((a, b) => a + b, 0) / seconds);
  }
  speed[requests] = median(times);
  await context.dispose();
}
const context = await loaded.createContext({ sequences: 1, contextSize: prefill + 8, batchSize: prefill, threads: { ideal: threads, min: threads } });
const sequence = context.getSequence();
const times = [];
for (let round = 0; round <= rounds; round++) {
  await sequence.clearHistory();
  const begun = performance.now();
  for await (const _ of sequence.evaluate(tokens(prefill, round), { temperature: 0, yieldEogToken: true })) break;
  if (round > 0) times.push((prefill * 1000) / (performance.now() - begun));
}
console.log(JSON.stringify({ new_tokens_per_second: speed, prefill_tokens_per_second: median(times) }));
process.exit(0);
