// Where one is: `#/peers?node=demo&at=2026-11-22T10:58:21.500Z`. A link holds the page, the node and the moment, so it can be shared.

export interface Route {
  page: string;
  params: Map<string, string>;
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return { page: path || "overview", params: new Map(new URLSearchParams(query)) };
}

/** The link of a place; what is empty is left out. */
export function link(page: string, params: Iterable<readonly [string, string | undefined]> = []): string {
  const kept = [...params].filter((entry): entry is readonly [string, string] => entry[1] !== undefined && entry[1] !== "");
  const query = new URLSearchParams(kept.map(([name, value]) => [name, value])).toString();
  return `#/${page}${query ? `?${query}` : ""}`;
}
