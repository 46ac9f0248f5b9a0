// The pages: their names, what each is about, and where it is. Only the first one is loaded with the frame; the others when they are wanted.

import type { Context } from "./page.ts";
import { show as overview } from "./pages/overview.ts";

export interface Page {
  title: string;
  /** One sentence on what it shows. */
  about: string;
  /** Reached from another page, not from the menu. */
  inner?: boolean;
  /** About all nodes, whichever is chosen. */
  fleet?: boolean;
  load(): Promise<(root: HTMLElement, context: Context) => void>;
}

export const PAGES: Record<string, Page> = {
  overview: {
    title: "Overview",
    about: "The nodes, what their peers send, and what is worth a look.",
    fleet: true,
    load: () => Promise.resolve(overview),
  },
  circle: {
    title: "Circle",
    about: "The node in the middle, its peers around it. Marks on the way are messages; the larger, the more of them.",
    load: async () => (await import("./pages/circle.ts")).show,
  },
  peers: {
    title: "Peers",
    about: "Who is connected, and who just left. Choose a peer for all that is known of it.",
    load: async () => (await import("./pages/peers.ts")).show,
  },
  peer: {
    title: "Peer",
    about: "Identity, profile, timeline, and the conversation between this peer and the node.",
    inner: true,
    load: async () => (await import("./pages/peer.ts")).show,
  },
  transactions: {
    title: "Transactions",
    about: "Announced, asked for, delivered, accepted: transactions on their way through the node.",
    load: async () => (await import("./pages/transactions.ts")).show,
  },
  addresses: {
    title: "Addresses",
    about: "Addresses of nodes as peers pass them on: from whom, of which networks, how fresh.",
    load: async () => (await import("./pages/addresses.ts")).show,
  },
  blocks: {
    title: "Blocks",
    about: "From the first announcement to the tip, and how compact blocks were put together.",
    load: async () => (await import("./pages/blocks.ts")).show,
  },
  pings: {
    title: "Pings",
    about: "Round trips: of our own ping through the node's message queue, and between the node and each peer.",
    load: async () => (await import("./pages/pings.ts")).show,
  },
  messages: {
    title: "Messages",
    about: "The stream, as it happens. Choose a line to see all of it, with what each field means.",
    load: async () => (await import("./pages/messages.ts")).show,
  },
  incidents: {
    title: "Incidents",
    about: "What belongs together, with a life: opened, looked at, over, back. Choose one for all that is known of it.",
    fleet: true,
    load: async () => (await import("./pages/incidents.ts")).show,
  },
  incident: {
    title: "Incident",
    about: "What, where, since when, how sure, what to do; its evidence, and what happened to it.",
    inner: true,
    fleet: true,
    load: async () => (await import("./pages/incident.ts")).show,
  },
  findings: {
    title: "Findings",
    about: "What detectors conclude: since when, from which inputs, with which evidence, and what it does not prove.",
    load: async () => (await import("./pages/findings.ts")).show,
  },
  health: {
    title: "Health",
    about: "The observer itself: what it is attached to, how far behind it is, and what it lost on the way.",
    fleet: true,
    load: async () => (await import("./pages/health.ts")).show,
  },
};
