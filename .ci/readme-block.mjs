// Prints the first code block of a language under a heading of README.md, so that what is checked is what is printed.
import { readFileSync } from "node:fs";

const [heading, language] = process.argv.slice(2);
const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const section = readme.split(/^#+ /m).find((text) => text.startsWith(`${heading}\n`));
const block = section?.match(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "m"))?.[1];
if (block === undefined) {
  console.error(`README.md has no ${language} block under the heading "${heading}"`);
  process.exit(1);
}
process.stdout.write(block);
