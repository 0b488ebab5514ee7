import { createRoot } from "react-dom/client";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/ui.css";
import { App } from "./app.tsx";
import { beginLanguage } from "./i18n/index.ts";
import { beginTheme } from "./lib/theme.ts";

beginTheme();
const root = document.getElementById("root");
if (root) void beginLanguage().then(() => createRoot(root).render(<App />));
