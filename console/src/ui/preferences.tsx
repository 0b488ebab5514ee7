// The language and the theme, which the browser keeps.
import { Languages, Monitor, Moon, Sun } from "lucide-react";
import { useState } from "react";
import { languageNow, setLanguage, t } from "../i18n/index.ts";
import { setTheme, themeNow } from "../lib/theme.ts";
import { Button } from "./basics.tsx";
import { attempt, Menu } from "./overlays.tsx";

export function Preferences() {
  const [theme, set] = useState(themeNow);
  const Icon = theme === "dark" ? Moon : theme === "light" ? Sun : Monitor;
  const pick = (next: typeof theme) => {
    setTheme(next);
    set(next);
  };
  return (
    <div className="row">
      <Menu
        trigger={<Button look="quiet" small icon={<Languages size={16} aria-hidden />}>{languageNow() === "zh" ? "中文" : "English"}</Button>}
        entries={[
          { text: "English", run: () => attempt(setLanguage("en")) },
          { text: "中文", run: () => attempt(setLanguage("zh")) },
        ]}
      />
      <Menu
        trigger={<Button look="quiet" small label={t("theme")} icon={<Icon size={16} aria-hidden />} />}
        entries={[
          { text: t("theme.system"), icon: <Monitor size={16} aria-hidden />, run: () => pick("system") },
          { text: t("theme.light"), icon: <Sun size={16} aria-hidden />, run: () => pick("light") },
          { text: t("theme.dark"), icon: <Moon size={16} aria-hidden />, run: () => pick("dark") },
        ]}
      />
    </div>
  );
}
