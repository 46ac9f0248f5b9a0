// The mark of a connection type or a family of messages: the same shape and colour in tables, legends and the circle.

import { svg } from "./dom.ts";
import { FAMILIES, typeLook, type MessageFamily, type Shape } from "./networks.ts";

const PATHS: Record<Shape, string> = {
  disc: "M6 1.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9z",
  square: "M2 2h8v8H2z",
  triangle: "M6 1.2l5 9.3H1z",
  diamond: "M6 .8L11.2 6L6 11.2L.8 6z",
  ring: "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10zm0 2.4a2.6 2.6 0 1 0 0 5.2a2.6 2.6 0 1 0 0-5.2z",
  cross: "M4.5 1h3v3.5H11v3H7.500V11h-3V7.500H1v-3h3.500z",
  star: "M6 .6l1.600 3.600 3.900.4-2.900 2.600.8 3.900L6 9.100l-3.400 2 .8-3.900L.5 4.600l3.900-.4z",
};

function drawn(kind: Shape, colour: string, name: string): SVGSVGElement {
  const mark = svg(
    "svg",
    { class: "mark", viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" },
    svg("path", { d: PATHS[kind], class: `fill-${colour}` }),
  );
  mark.dataset["mark"] = name;
  return mark;
}

/** Of a connection type. */
export function shape(type: string): SVGSVGElement {
  const look = typeLook(type);
  return drawn(look.shape, look.colour, type);
}

/** Of a family of messages. */
export function familyMark(family: MessageFamily): SVGSVGElement {
  const look = FAMILIES[family];
  return drawn(look.shape, look.colour, family);
}
