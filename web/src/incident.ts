// An incident in words and colours, and what one types to work with it.

import type { Acting, IncidentTrouble } from "./api.ts";
import { el, write } from "./dom.ts";

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

/** Says that the book is behind, for as long as it is. */
export class Behind {
  readonly element = el("p", { class: "behind", role: "alert", hidden: true });

  show(trouble: IncidentTrouble | null | undefined): void {
    this.element.hidden = !trouble;
    write(this.element, trouble ? `The incident book is behind. ${trouble.sentence}. ${trouble.hint}.` : "");
  }
}

/** What works with an incident in a shell, line by line. */
export function commands(number: string, state: string): string[] {
  const all = [`peer-observer incidents show ${number}`];
  if (state === "open") all.push(`peer-observer incidents ack ${number}`);
  all.push(`peer-observer incidents note ${number} "what you found"`);
  if (state !== "resolved") all.push(`peer-observer incidents close ${number} "why it is over"`);
  return all;
}
