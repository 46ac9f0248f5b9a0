// An incident in words and colours, and what one types to work with it.

import type { Acting } from "./api.ts";

/** The colour of a severity, by the style sheet's name for it. */
export function tone(severity: string): string | undefined {
  if (severity === "critical") return "bad";
  return severity === "warn" ? "warn" : undefined;
}

/** Why it cannot be worked with on this page, for the person who would. */
export const BARRED: Record<Exclude<Acting, "here" | "public">, string> = {
  elsewhere: "The book is kept by another program. Where that runs, type:",
  proxy:
    "Whoever comes through the proxy may look, not act: that needs a token as well (`--web-token-file`). On the machine itself, type:",
};

/** What works with an incident in a shell, line by line. */
export function commands(number: string, state: string): string[] {
  const all = [`peer-observer incidents show ${number}`];
  if (state === "open") all.push(`peer-observer incidents ack ${number}`);
  all.push(`peer-observer incidents note ${number} "what you found"`);
  if (state !== "resolved") all.push(`peer-observer incidents close ${number} "why it is over"`);
  return all;
}
