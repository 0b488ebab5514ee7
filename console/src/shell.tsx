// The frame around every page: the menu, who is logged in, and whether what is shown is live.
import { CSPProvider } from "@base-ui/react/csp-provider";
import { Boxes, ChartColumn, ChevronsUpDown, Cpu, FileBox, Gauge, KeyRound, LayoutDashboard, Library, LogOut, Menu as MenuIcon, MessagesSquare, Plug, ScrollText, Settings, Split, UserRound, Users, WifiOff, Wrench } from "lucide-react";
import { Component, type ReactNode, Suspense, useEffect, useRef, useState } from "react";
import { Link, Route, Switch, useLocation } from "wouter";
import iconUrl from "./icon.svg";
import { t } from "./i18n/index.ts";
import { isAdmin, logout, useMe } from "./lib/session.ts";
import { useLink } from "./live/store.ts";
import { type Page, PAGES } from "./pages.ts";
import { ChangePasswordDialog } from "./pages/password_dialog.tsx";
import { Button, classes, Empty, Loading, Problem } from "./ui/basics.tsx";
import { attempt, Menu } from "./ui/overlays.tsx";
import { Preferences } from "./ui/preferences.tsx";

const ICONS: Record<string, typeof Cpu> = {
  overview: LayoutDashboard, playground: MessagesSquare, deployments: Boxes, catalogue: Library, models: FileBox, routes: Split, providers: Plug, workers: Cpu,
  keys: KeyRound, usage: ChartColumn, users: Users, audit: ScrollText, settings: Settings,
  backends: Wrench, benchmarks: Gauge,
};

export default function Shell() {
  const me = useMe();
  const [path] = useLocation();
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const pages = PAGES.filter((page) => !page.admin || isAdmin(me));
  const segment = path.split("/")[1] || "overview";
  const here = pages.find((page) => page.path === segment);
  const first = useRef(true);
  useEffect(() => {
    setOpen(false);
    document.title = here ? `${t(here.name)} · Gantry` : "Gantry";
    // The keyboard goes on in the page that was chosen, as after a load.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
    scrollTo(0, 0);
  }, [segment, here]);

  return (
    <CSPProvider disableStyleElements>
      <a className="skip" href="#main">{t("skip")}</a>
      <div className="shell">
        <aside className={classes("side", open && "open")} onKeyDown={(event) => event.key === "Escape" && setOpen(false)}>
          <Link href="/" className="brand">
            <img src={iconUrl} alt="" />
            Gantry
          </Link>
          <nav className="nav" aria-label={t("menu")}>
            {pages.map((page) => (
              <NavLink key={page.path} page={page} here={page === here} />
            ))}
          </nav>
          <div className="side-foot">
            <Preferences />
            <Account />
          </div>
        </aside>
        {open && <button type="button" className="scrim" aria-label={t("close")} onClick={() => setOpen(false)} />}
        <div className="main">
          <div className="top">
            <Button look="quiet" label={t("menu")} aria-expanded={open} icon={<MenuIcon size={20} aria-hidden />} onClick={() => setOpen(true)} />
            <Link href="/" className="brand">Gantry</Link>
          </div>
          <LinkBanner />
          <main id="main" tabIndex={-1} ref={main} style={{ outline: "none" }}>
            <Guard key={segment}>
              <Suspense fallback={<Loading />}>
                <Switch>
                  <Route path="/">{() => <View page={PAGES[0]} />}</Route>
                  {pages.map((page) => (
                    <Route key={page.path} path={`/${page.path}`} nest>
                      <View page={page} />
                    </Route>
                  ))}
                  <Route>
                    <div className="page">
                      <Empty icon={<LayoutDashboard size={28} aria-hidden />} title={t("missing.title")} actions={<Link className="button" href="/">{t("overview")}</Link>}>
                        {t("missing.text")}
                      </Empty>
                    </div>
                  </Route>
                </Switch>
              </Suspense>
            </Guard>
          </main>
        </div>
      </div>
    </CSPProvider>
  );
}

function View({ page }: { page: Page | undefined }) {
  return page ? <page.view /> : null;
}

function NavLink({ page, here }: { page: Page; here: boolean }) {
  const Icon = ICONS[page.path] ?? Boxes;
  return (
    <>
      {page.group && <div className="nav-title">{t(page.group)}</div>}
      <Link href={page.path === "overview" ? "/" : `/${page.path}`} aria-current={here ? "page" : undefined}>
        <Icon size={17} aria-hidden />
        {t(page.name)}
      </Link>
    </>
  );
}

// Says so only when it lasts: a server that starts again is back before anybody reads it.
function LinkBanner() {
  const link = useLink();
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (link !== "connecting") return;
    const timer = setTimeout(() => setLate(true), 2_500);
    return () => clearTimeout(timer);
  }, [link]);
  if (!late) return null;
  return (
    <div className="banner" role="status">
      <WifiOff size={16} aria-hidden />
      {t("link.lost")}
    </div>
  );
}

function Account() {
  const me = useMe();
  const [changing, setChanging] = useState(false);
  return (
    <>
      <Menu
        trigger={
          <Button look="quiet" block icon={<UserRound size={16} aria-hidden />}>
            <span className="clip">{me.name}</span>
            <ChevronsUpDown size={14} className="end" aria-hidden />
          </Button>
        }
        entries={[
          { text: t("password.change"), icon: <KeyRound size={16} aria-hidden />, run: () => setChanging(true) },
          { text: t("logout"), icon: <LogOut size={16} aria-hidden />, run: () => attempt(logout()) },
        ]}
      />
      {changing && <ChangePasswordDialog onClose={() => setChanging(false)} />}
    </>
  );
}

/** A page that fails does not take the menu along; one of an older version than the server's is loaded again. */
class Guard extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <div className="page">
        <Problem error={this.state.error} />
        <div><Button onClick={() => location.reload()}>{t("reload")}</Button></div>
      </div>
    );
  }
}
