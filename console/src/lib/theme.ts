// Light, dark, or what the system says.
export type Theme = "system" | "light" | "dark";
const KEPT = "gantry-theme";

export function themeNow(): Theme {
  const kept = localStorage.getItem(KEPT);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function setTheme(theme: Theme): void {
  if (theme === "system") {
    localStorage.removeItem(KEPT);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEPT, theme);
    document.documentElement.dataset.theme = theme;
  }
}

export function beginTheme(): void {
  setTheme(themeNow());
}
