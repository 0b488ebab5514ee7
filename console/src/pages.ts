// The pages, in the order of the menu. src/control/api/console.h lists the same first segments; an end-to-end test opens each.
import { type ComponentType, lazy, type LazyExoticComponent } from "react";
import type { Key } from "./i18n/index.ts";
import { Overview } from "./pages/overview.tsx";

export interface Page {
  path: string;
  name: Key;
  admin: boolean;
  /** The heading of the menu above it. */
  group?: Key;
  view: ComponentType | LazyExoticComponent<ComponentType>;
}

const playground = lazy(() => import("./pages/playground/playground.tsx"));
const deployments = lazy(() => import("./pages/deployments/deployments.tsx"));
const models = lazy(() => import("./pages/models/models.tsx"));
const routes = lazy(() => import("./pages/routes.tsx"));
const providers = lazy(() => import("./pages/providers.tsx"));
const workers = lazy(() => import("./pages/workers/workers.tsx"));
const benchmarks = lazy(() => import("./pages/benchmarks/benchmarks.tsx"));
const keys = lazy(() => import("./pages/keys.tsx"));
const usage = lazy(() => import("./pages/usage.tsx"));
const users = lazy(() => import("./pages/users.tsx"));
const audit = lazy(() => import("./pages/audit.tsx"));
const settings = lazy(() => import("./pages/settings.tsx"));

export const PAGES: Page[] = [
  { path: "overview", name: "overview", admin: false, view: Overview },
  { path: "playground", name: "playground", admin: false, view: playground },
  { path: "deployments", name: "deployments", admin: false, group: "group.serve", view: deployments },
  { path: "models", name: "models", admin: false, view: models },
  { path: "benchmarks", name: "benchmarks", admin: false, view: benchmarks },
  { path: "routes", name: "routes", admin: true, view: routes },
  { path: "providers", name: "providers", admin: true, view: providers },
  { path: "workers", name: "workers", admin: true, group: "group.machines", view: workers },
  { path: "keys", name: "keys", admin: false, group: "group.access", view: keys },
  { path: "usage", name: "usage", admin: false, view: usage },
  { path: "users", name: "users", admin: true, view: users },
  { path: "audit", name: "audit", admin: true, view: audit },
  { path: "settings", name: "settings", admin: true, view: settings },
];
