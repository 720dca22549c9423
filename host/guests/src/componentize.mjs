// Makes a component of a task in JavaScript. Runs in the project's folder, whose node_modules have the toolchain:
//
//     node --input-type=module --eval <this> <source> <folder of the WIT> <world> <component>
import { readFile, writeFile } from "node:fs/promises";
import { componentize } from "componentize-qjs";

const [source, wit, world, output] = process.argv.slice(1);
try {
  const { component } = await componentize({
    jsSource: await readFile(source, "utf8"),
    jsPath: source,
    moduleRoot: process.cwd(),
    witPath: wit,
    world,
    sync: true,
    optSize: true,
    // A host gives a task no clock, no files and no output: what asks for them fails where it asks.
    stubWasi: true,
  });
  await writeFile(output, component);
} catch (error) {
  console.error(`${source}: ${String(error.message ?? error).replace(/^[:\s]+/, "")}`);
  process.exitCode = 1;
}
