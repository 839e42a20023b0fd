// Prints the first code block of a language under a heading of README.md, or of another document, so that what is checked
// is what is printed.
import { readFileSync } from "node:fs";

const [heading, language, file = "README.md"] = process.argv.slice(2);
const document = readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
const section = document.split(/^#+ /m).find((text) => text.startsWith(`${heading}\n`));
const block = section?.match(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "m"))?.[1];
if (block === undefined) {
  console.error(`${file} has no ${language} block under the heading "${heading}"`);
  process.exit(1);
}
process.stdout.write(block);
