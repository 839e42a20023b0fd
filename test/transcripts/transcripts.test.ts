import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { Interpreter } from "./interpreter.js";
import { playTranscript } from "./transcript.js";

const folder = fileURLToPath(new URL("./", import.meta.url));
/** Writes what happens into the files. Read the difference: a wrong outcome that is written down is worse than none. */
const isWriting = process.env["TRANSCRIPTS"] === "write";

const play = (name: string, content: string) => {
  const interpreter = new Interpreter();
  return playTranscript(`test/transcripts/${name}`, content, (command) => interpreter.run(command));
};

describe("transcripts", () => {
  test.each(readdirSync(folder).filter((name) => name.endsWith(".txt")))("%s", (name) => {
    const { content, differences } = play(name, readFileSync(folder + name, "utf8"));
    if (isWriting) return writeFileSync(folder + name, content);
    const advice = `if all of that is right: TRANSCRIPTS=write npx vitest run test/transcripts -t ${name}`;
    if (differences.length > 0) throw new Error(["not as written (-), but (+):", ...differences, advice].join("\n\n"));
  });
});

describe("the interpreter of transcripts", () => {
  const script = "# One server.\n\ncluster 1\ntimeout S1\n----\nS1 waits\n\nlogs\n----\n";

  test("shows what is not as written, and writes the file as it should be", () => {
    const { content, differences } = play("a.txt", script);
    expect(differences).toHaveLength(2);
    expect(differences[0]).toContain(
      "test/transcripts/a.txt:3:\n    cluster 1\n    timeout S1\n    - S1 waits\n    +   S1: candidate",
    );
    expect(play("a.txt", content)).toEqual({ content, differences: [] });
    expect(content.startsWith("# One server.\n\ncluster 1\ntimeout S1\n----\n  S1")).toBe(true);
  });

  test.each([
    ["cluster 3\n", "a.txt:1: this command is not followed by"],
    ["  x\n----\n", "a.txt:1: an indented line without a command"],
    ["cluster 3\nfly S1\n----\n", "a.txt:2: fly S1: Error: known are cluster, "],
    ["cluster 3\nheartbeat S1\n----\n", "S1 does not lead"],
    ["cluster 3\ntimeout S4\n----\n", '"S4" is not a server; there are S1, S2, S3'],
    ["cluster 3\ndeliver\n----\n", "there is no such message"],
    ["cluster 3\ndeliver letters\n----\n", '"letters" does not say which messages'],
    ["cluster 3\nwait long\n----\n", '"long" is not a number'],
    ["cluster 3 hartbeatMs=5\n----\n", 'unknown engine setting "hartbeatMs"'],
    ["cluster\n  S1: logs 1\n----\n", 'a server has log, term, vote, snapshot, not "logs"'],
  ])("%j is refused with its place", (text, message) => {
    expect(() => play("a.txt", text)).toThrow(message);
  });
});
