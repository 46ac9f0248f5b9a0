// Light or dark: the system's choice, or the person's.

export type Theme = "system" | "light" | "dark";

const THEMES: readonly Theme[] = ["system", "light", "dark"];

export function chosenTheme(): Theme {
  return THEMES.find((theme) => theme === localStorage.getItem("theme")) ?? "system";
}

/** Shows the pages in this theme from now on. */
export function useTheme(theme: Theme): void {
  localStorage.setItem("theme", theme);
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  document.dispatchEvent(new Event("theme"));
}

/** Calls this whenever colours change, until `signal` ends it. */
export function onTheme(changed: () => void, signal: AbortSignal): void {
  document.addEventListener("theme", changed, { signal });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed, { signal });
}

/** Whether the person asked for less motion. */
export function stillness(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Whether the pages are dark now. */
function isDark(): boolean {
  const chosen = chosenTheme();
  return chosen === "system" ? matchMedia("(prefers-color-scheme: dark)").matches : chosen === "dark";
}

/** A colour of the style sheet, as it is now: a canvas does not know `light-dark()`. */
export function colour(name: string): string {
  const value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const [, light, dark] = /^light-dark\((.+),\s*(.+)\)$/.exec(value) ?? [undefined, value, value];
  return isDark() ? dark : light;
}
