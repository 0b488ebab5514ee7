// What can be served: the models known here, and the files that came from hubs.
import { lazy, type ReactNode } from "react";
import { Link, Route, Switch, useLocation } from "wouter";
import { t } from "../../i18n/index.ts";
import { isAdmin, useMe } from "../../lib/session.ts";
import { PageBody } from "../../ui/page.tsx";
import { Known } from "./known.tsx";
import "./models.css";

const Files = lazy(() => import("./files.tsx"));

export default function Models() {
  return (
    <Switch>
      <Route path="/files" component={Files} />
      <Route component={Known} />
    </Switch>
  );
}

/** The head of both pages. */
export function ModelsPage({ actions, children }: { actions?: ReactNode; children: ReactNode }) {
  const [path] = useLocation();
  const admin = isAdmin(useMe());
  const files = path.startsWith("/files");
  return (
    <PageBody title={t("models")} about={files ? t("files.about") : t("models.about")} actions={actions}>
      {admin && (
        <nav className="tabs" aria-label={t("models")}>
          <Link href="/" aria-current={files ? undefined : "page"}>{t("models.known")}</Link>
          <Link href="/files" aria-current={files ? "page" : undefined}>{t("files")}</Link>
        </nav>
      )}
      {children}
    </PageBody>
  );
}
