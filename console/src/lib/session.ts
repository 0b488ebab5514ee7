// Who is logged in. One value for the page; undefined: not asked yet, null: nobody.
import { useSyncExternalStore } from "react";
import { api, ApiError, onRefused } from "../api/client.ts";
import type { User } from "../api/types.ts";
import { startWatching } from "../live/store.ts";

let user: User | null | undefined;
const listeners = new Set<() => void>();

function become(next: User | null): void {
  user = next;
  if (next && !next.must_change_password) startWatching();
  for (const listener of listeners) listener();
}

onRefused((error) => {
  if (error.code === "password_change_required") void readUser();
  else if (user) become(null);
});

/** Throws where the server can't be reached. */
export async function readUser(): Promise<void> {
  try {
    become(await api<User>("GET", "/api/v1/auth/me"));
  } catch (problem) {
    if (problem instanceof ApiError && problem.status === 401) become(null);
    else throw problem;
  }
}

export async function login(name: string, password: string): Promise<void> {
  become(await api<User>("POST", "/api/v1/auth/login", { name, password }));
}

export async function changePassword(current: string, next: string): Promise<void> {
  await api("POST", "/api/v1/auth/password", { current_password: current, new_password: next });
  await readUser();
}

export async function logout(): Promise<void> {
  await api("POST", "/api/v1/auth/logout");
  become(null);
}

export function sessionEnded(): void {
  if (user) become(null);
}

export function useUser(): User | null | undefined {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => user,
  );
}

/** For what is behind the login. */
export function useMe(): User {
  const me = useUser();
  if (!me) throw new Error("nobody is logged in");
  return me;
}

export function isAdmin(me: User): boolean {
  return me.role === "admin";
}
