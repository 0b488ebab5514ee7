// The pages, in the order of the menu. src/control/api/console.h lists the same first segments; an end-to-end test opens each.
import type { ComponentType } from "react";
import type { Key } from "./i18n/index.ts";
import { Overview } from "./pages/overview.tsx";
import { lazily } from "./ui/lazily.tsx";

export interface Page {
  path: string;
  name: Key;
  admin: boolean;
  /** The heading of the menu above it. */
  group?: Key;
  view: ComponentType;
}

const playground = lazily(() => import("./pages/playground/playground.tsx"));
const deployments = lazily(() => import("./pages/deployments/deployments.tsx"));
const catalogue = lazily(() => import("./pages/catalogue/catalogue.tsx"));
const models = lazily(() => import("./pages/models/models.tsx"));
const routes = lazily(() => import("./pages/routes.tsx"));
const providers = lazily(() => import("./pages/providers.tsx"));
const workers = lazily(() => import("./pages/workers/workers.tsx"));
const backends = lazily(() => import("./pages/backends/backends.tsx"));
const benchmarks = lazily(() => import("./pages/benchmarks/benchmarks.tsx"));
const keys = lazily(() => import("./pages/keys.tsx"));
const usage = lazily(() => import("./pages/usage.tsx"));
const users = lazily(() => import("./pages/users.tsx"));
const audit = lazily(() => import("./pages/audit.tsx"));
const settings = lazily(() => import("./pages/settings.tsx"));

export const PAGES: Page[] = [
  { path: "overview", name: "overview", admin: false, view: Overview },
  { path: "playground", name: "playground", admin: false, view: playground },
  { path: "deployments", name: "deployments", admin: false, group: "group.serve", view: deployments },
  { path: "catalogue", name: "catalogue", admin: true, view: catalogue },
  { path: "models", name: "models", admin: false, view: models },
  { path: "benchmarks", name: "benchmarks", admin: false, view: benchmarks },
  { path: "routes", name: "routes", admin: true, view: routes },
  { path: "providers", name: "providers", admin: true, view: providers },
  { path: "workers", name: "workers", admin: true, group: "group.machines", view: workers },
  { path: "backends", name: "backends", admin: true, view: backends },
  { path: "keys", name: "keys", admin: false, group: "group.access", view: keys },
  { path: "usage", name: "usage", admin: false, view: usage },
  { path: "users", name: "users", admin: true, view: users },
  { path: "audit", name: "audit", admin: true, view: audit },
  { path: "settings", name: "settings", admin: true, view: settings },
];
