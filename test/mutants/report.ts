import type { CheckName, Finding, Report } from "./examine.js";
import type { Mutant } from "./mutant.js";
import { noMistake } from "./table.js";

const CHECKS: Readonly<Record<CheckName, string>> = {
  script: "script",
  power: "power loss",
  swarm: "swarm",
  blackBox: "swarm, black box",
  registers: "registers",
};

const isClean = ({ name }: Mutant): boolean => name === noMistake.name;

/** One that passed a check that should have caught it; or code without a mistake in which a check found one. */
export function isSurvivor({ mutant, findings }: Report): boolean {
  return findings.some(({ caught }) => caught === isClean(mutant));
}

const COLUMNS = [
  "mutation",
  "row",
  "script that fails",
  "power loss",
  "swarm",
  "swarm, black box",
  "registers",
  "time",
] as const;
const WIDTHS = [42, 12, 60, 36, 48, 44, 44, 7];

export function headLines(): string {
  return `${rowOf(COLUMNS)}\n|${WIDTHS.map((width) => "-".repeat(width + 2)).join("|")}|`;
}

export function lineOf(report: Report): string {
  const { mutant, findings, ms } = report;
  const cell = (check: CheckName): string => {
    const finding = findings.find((candidate) => candidate.check === check);
    return finding === undefined ? "" : outcomeOf(finding, isClean(mutant));
  };
  return rowOf([
    mutant.name,
    mutant.row,
    cell("script"),
    cell("power"),
    cell("swarm"),
    cell("blackBox"),
    cell("registers"),
    `${(ms / 1000).toFixed(1)} s`,
  ]);
}

function outcomeOf({ check, caught, by, runs, budget }: Finding, clean: boolean): string {
  const isScript = check === "script";
  if (caught) return `${clean ? "FAILED " : ""}${isScript ? by.replaceAll("|", "/") : `${runs}: ${by}`}`;
  const unit = isScript ? "tests" : check === "power" ? "runs" : "seeds";
  return `${clean ? "" : "SURVIVED "}${isScript ? runs : budget} ${unit}`;
}

function rowOf(cells: readonly string[]): string {
  return `| ${cells.map((text, i) => text.padEnd(WIDTHS[i] as number)).join(" | ")} |`;
}

/** What a survivor, or a false alarm, needs to be looked into. */
export function problemOf(report: Report): string {
  const { mutant, findings } = report;
  const lines = findings
    .filter(({ caught }) => caught === isClean(mutant))
    .map(({ check, by, detail, seed, budget }) =>
      isClean(mutant)
        ? `  ${CHECKS[check]} finds "${by}" in code without a mistake (seed ${seed}): ${detail}`
        : `  passed ${CHECKS[check]}${check === "script" ? "" : `, ${budget} runs`}`,
    );
  return [`${mutant.name}: ${mutant.mistake}`, ...lines].join("\n");
}

/** The same for machines. */
export function toJson(reports: readonly Report[]): string {
  const rows = reports.map((report) => ({
    name: report.mutant.name,
    row: report.mutant.row,
    mistake: report.mutant.mistake,
    ...(report.mutant.note !== undefined && { note: report.mutant.note }),
    survived: isSurvivor(report),
    ms: Math.round(report.ms),
    checks: report.findings.map(({ check, caught, by, detail, runs, seed, budget, ms }) => ({
      check,
      caught,
      by,
      detail: detail.slice(0, 500),
      runs,
      seed,
      budget,
      ms: Math.round(ms),
    })),
  }));
  return `${JSON.stringify(rows, null, 2)}\n`;
}
