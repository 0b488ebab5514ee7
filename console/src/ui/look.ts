// What is drawn rather than styled has to ask for its colours, and again when the theme changes.

/** A custom property as a colour: it may hold light-dark(), and only an element knows which it is now. */
export function resolved(host: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  host.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/** Returns what ends it. */
export function onThemeChange(draw: () => void): () => void {
  const scheme = new MutationObserver(draw);
  scheme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", draw);
  return () => {
    scheme.disconnect();
    system.removeEventListener("change", draw);
  };
}
