import { writeFileSync } from "node:fs";

import { inspectorHtml, recordPlan } from "../../inspector/index.js";
import { drawPlan, runPlan } from "../../sim/swarm/index.js";
import { runRegisters } from "../paxos/registers-swarm/run.js";
import { runLives } from "../storage/lives.js";
import type { Job, PowerJob, RegistersJob, SwarmJob, Told } from "./job.js";
import { findFailingTest } from "./scripts.js";

// The process that looks for a mistake: this file lies in the copy of the compiled tree that has it.

const tell = (told: Told): void => void process.send?.(told);

async function findPowerLoss({ runs, shape, syncErrorRate }: PowerJob): Promise<Told> {
  for (let run = 1; run <= runs; run++) {
    tell({ run, seed: run });
    try {
      await runLives(run, { shape, syncErrorRate });
    } catch (error) {
      return { caught: true, by: ruleOf(error as Error), detail: (error as Error).message };
    }
  }
  return SURVIVED;
}

async function findRegisters({ firstSeed, runs }: RegistersJob): Promise<Told> {
  for (let run = 1; run <= runs; run++) {
    const seed = firstSeed + run - 1;
    tell({ run, seed });
    try {
      await runRegisters(seed);
    } catch (error) {
      const { rule, code, name, message } = error as Error & { rule?: string; code?: string };
      return { caught: true, by: rule ?? code ?? name, detail: message };
    }
  }
  return SURVIVED;
}

async function findSeed({ kind, firstSeed, runs, page }: SwarmJob): Promise<Told> {
  for (let run = 1; run <= runs; run++) {
    const seed = firstSeed + run - 1;
    tell({ run, seed });
    const { violation } = await runPlan(drawPlan(seed), { oracles: kind === "swarm" });
    if (violation === null) continue;
    if (page !== undefined) {
      const { record } = await recordPlan(drawPlan(seed), { title: page.title });
      writeFileSync(page.file, inspectorHtml(record, page.template));
    }
    return { caught: true, by: violation.rule, detail: violation.message };
  }
  return SURVIVED;
}

const SURVIVED: Told = { caught: false, by: "", detail: "" };

/** What the storage itself refuses has a code; all else is said by the model of what it may hold. */
function ruleOf(error: Error & { code?: string }): string {
  if (error.code !== undefined) return error.code;
  return error.message.startsWith("recovered") ? "what was acknowledged is there" : error.name;
}

// Whoever waited for the answer is gone.
process.once("disconnect", () => process.exit());

process.once("message", (job: Job) => {
  const end = (told: Told): void => {
    tell(told);
    process.disconnect();
  };
  if (job.kind === "script") void findFailingTest(job, tell).then(end);
  else if (job.kind === "power") void findPowerLoss(job).then(end);
  else if (job.kind === "registers") void findRegisters(job).then(end);
  else void findSeed(job).then(end);
});
