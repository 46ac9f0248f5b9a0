// A finding as its own event states it: with units, limits, and what it does not prove.

import type { Finding, Nodes } from "./api.ts";
import { body } from "./events.ts";
import type { Int, Time } from "./format.ts";
import type { Source } from "./schema.ts";

/** Whether a detector looks at a node, or at any: where none does, that nothing fired says nothing. Strangers are not told. */
export function watched({ nodes }: Nodes, node?: string): boolean {
  const here = nodes.filter((row) => node === undefined || row.node === node);
  return here.some(({ detecting }) => detecting ?? true);
}

/** Whether a finding is among those of a node: what is about all of them is about each. */
export function concerns({ node, fleet }: Finding, chosen: string | undefined): boolean {
  return fleet === true || node === chosen;
}

/** Whom a finding is told of; a node's name only where it is one. */
export function place({ node, fleet }: Finding): string | undefined {
  return fleet ? undefined : node;
}

/** The body of every `finding.*` event. */
export interface Concluded {
  detector: string;
  version: number;
  name: string;
  id: string;
  entity?: { kind: string; peer?: string; address?: string; name?: string };
  severity: string;
  verdict: string;
  score: number;
  inputs: { name: string; value: number; unit: string; threshold?: number }[];
  opened: Time;
  evidence: { source: Source; run: Time; fromSequence: Int; toSequence: Int; time: Time }[];
  summary: string;
  doesNotProve: string;
  unknown: boolean;
}

/** The finding with what its event says; as it came, where that says nothing. */
export function complete(finding: Finding): Finding {
  const said = finding.event && (body(finding.event)["finding"] as Concluded | undefined);
  return said ? { ...finding, ...described(said) } : finding;
}

/** Another text whenever something new was said: an update repeats id and kind, and is an event of its own. */
export function edition(findings: readonly Finding[]): string {
  return findings.map(({ id, kind, active, event }) => [id, kind, active, event?.run, event?.sequence].join(" ")).join();
}

/** What a finding says, as pages show it. */
export function described(said: Concluded): Partial<Finding> {
  const { entity } = said;
  const about = entity?.peer === undefined ? [entity?.address, entity?.name].filter(Boolean).join(" ") : "";
  const unit = (value: number, unit: string) =>
    unit === "share" ? `${(value * 100).toFixed(1)} %` : `${Number(value.toPrecision(4)).toLocaleString("en")} ${unit}`.trim();
  return {
    detector: `${said.detector} ${said.name}, version ${said.version}`,
    title: said.name.replaceAll("_", " "),
    severity: said.severity,
    verdict: said.verdict,
    peers: entity?.peer === undefined ? [] : [entity.peer],
    about,
    text: said.summary,
    why:
      said.inputs.length > 0
        ? `The criterion is met ${Number(said.score.toPrecision(3))} times over, from these numbers:`
        : undefined,
    inputs: said.inputs.map((input) => ({
      name: input.name,
      value: unit(input.value, input.unit),
      ...(input.threshold === undefined ? {} : { limit: unit(input.threshold, input.unit) }),
    })),
    evidence: said.evidence.map(({ source, fromSequence, toSequence, time }) => ({
      time,
      text:
        fromSequence === toSequence ? `event ${fromSequence} of ${source}` : `events ${fromSequence} to ${toSequence} of ${source}`,
    })),
    notProven: said.doesNotProve ? [said.doesNotProve] : [],
    unknown: said.unknown,
  };
}
