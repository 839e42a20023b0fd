// Starts the cluster of README.md with the installed package, runs the commands that are printed there against it, and
// stops it as Ctrl-C does. Arguments: the command that starts it, and a file with the commands.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const [startFile, commandsFile] = process.argv.slice(2);
const [npx, , ...args] = readFileSync(startFile, "utf8").trim().split(" ");
if (npx !== "npx") throw new Error(`the README does not start the cluster with npx: ${npx}`);
// Not npx: signals must reach the program.
const cluster = spawn("node_modules/.bin/kvraft", args, { stdio: ["ignore", "pipe", "inherit"] });
const ended = new Promise((resolve) => cluster.once("close", resolve));
let output = "";
const isUp = new Promise((resolve, reject) => {
  cluster.stdout.on("data", (text) => {
    output += text;
    if (output.includes("the cluster is up")) resolve();
  });
  cluster.once("close", () => reject(new Error(`the cluster ended early: ${output}`)));
});
await isUp;
const { status } = spawnSync("bash", ["-euo", "pipefail", commandsFile], { stdio: ["ignore", "inherit", "inherit"] });
cluster.kill("SIGINT");
const code = await ended;
process.stdout.write(output);
if (status !== 0 || code !== 0) {
  console.error(`commands: exit code ${status}; the cluster: exit code ${code}`);
  process.exitCode = 1;
}
