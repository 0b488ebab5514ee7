// Which of the three the page is: the door, the forced change of the password, or the shell with its pages.
import { useEffect, useState } from "react";
import { useLocation } from "wouter";
import { useLanguage } from "./i18n/index.ts";
import { asApiError } from "./lib/fetched.ts";
import { readUser, sessionEnded, useUser } from "./lib/session.ts";
import { startWatching, useLink } from "./live/store.ts";
import { ChangePassword, Login, Unreachable } from "./pages/login.tsx";
import { Loading } from "./ui/basics.tsx";
import { lazily } from "./ui/lazily.tsx";
import { Toasts } from "./ui/toasts.tsx";

const Shell = lazily(() => import("./shell.tsx"));
const KNOWN = "gantry-known";
// Who was logged in before most likely still is: what comes behind the door is fetched while that is asked.
if (localStorage.getItem(KNOWN)) {
  void Shell.load();
  startWatching();
}

export function App() {
  useLanguage();
  return (
    <>
      <Inside />
      <Toasts />
    </>
  );
}

function Inside() {
  const user = useUser();
  const link = useLink();
  const [error, setError] = useState<Error>();
  const [path, go] = useLocation();
  const ask = () => {
    setError(undefined);
    readUser().catch((problem: unknown) => setError(asApiError(problem)));
  };
  useEffect(ask, []);
  useEffect(() => {
    if (link === "refused") sessionEnded();
  }, [link]);
  useEffect(() => {
    if (user) localStorage.setItem(KNOWN, "1");
    else if (user === null) {
      localStorage.removeItem(KNOWN);
      void Shell.load();
    }
  }, [user]);
  useEffect(() => {
    if (user && !user.must_change_password && path === "/login") go("/", { replace: true });
  }, [user, path, go]);

  if (error) return <Unreachable error={error} again={ask} />;
  if (user === undefined) return <Loading />;
  if (user === null) return <Login />;
  if (user.must_change_password) return <ChangePassword forced />;
  return <Shell />;
}
