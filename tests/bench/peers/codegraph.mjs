// Times the native parser of @optave/codegraph (https://www.npmjs.com/package/@optave/codegraph) over folders of sources:
// symbols, calls, blocks and name-level data flow, its richest setting. One thread, warm, the best of the rounds.
//
//   npm install --prefix PEERS @optave/codegraph@3.11.2
//   cpg-figures --java-methods … --sample SAMPLE
//   node codegraph.mjs PEERS SAMPLE/java-methods SAMPLE/java-files
import { createRequire } from 'node:module';
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

const [peers, ...folders] = process.argv.slice(2);
const require = createRequire(join(resolve(peers), 'package.json'));
const native = require(`@optave/codegraph-${process.platform}-${process.arch}-gnu`);

for (const folder of folders) {
  const texts = readdirSync(folder).sort().map((name) => [join(folder, name), readFileSync(join(folder, name), 'utf8')]);
  let bytes = 0;
  const best = texts.map(([path, text]) => {
    bytes += Buffer.byteLength(text);
    let best = Infinity;
    for (let round = 0; round < 15; round++) {
      const start = process.hrtime.bigint();
      native.parseFile(path, text, true, true);
      best = Math.min(best, Number(process.hrtime.bigint() - start) / 1e6);
    }
    return best;
  });
  const sorted = [...best].sort((a, b) => a - b);
  const at = (share) => sorted[Math.floor(((sorted.length - 1) * share) / 100)].toFixed(3);
  const seconds = best.reduce((sum, time) => sum + time, 0) / 1e3;
  console.log(`${folder}: ${texts.length} texts, median ${at(50)} ms, p90 ${at(90)}, p99 ${at(99)}, ${(bytes / 1e6 / seconds).toFixed(2)} MB/s`);
}
