// Colours of the design tokens as canvas and WebGL understand them, in the theme that is on.

export function colour(place: Element, name: string): string {
  if (!name.startsWith("--")) return name;
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = `var(${name})`;
  (place.closest("main")?.parentElement ?? document.body).append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
