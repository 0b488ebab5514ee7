// Requests to the server that this page came from. The session's cookie goes along by itself; nothing secret is kept here.

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly param: string;
  readonly requestId: string;

  constructor(status: number, message: string, code = "", param = "", requestId = "") {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.requestId = requestId;
  }
}

type Listener = (error: ApiError) => void;
let refused: Listener = () => {};
/** Called with every answer that says that nobody is logged in, or that the password must be changed first. */
export function onRefused(listener: Listener): void {
  refused = listener;
}

interface ErrorBody {
  error?: { message?: string; code?: string | null; param?: string | null };
}

export function errorOf(status: number, body: unknown, requestId = ""): ApiError {
  const error = (body as ErrorBody | null)?.error;
  return new ApiError(status, error?.message ?? `HTTP ${status}`, error?.code ?? "", error?.param ?? "", requestId);
}

/** Throws an ApiError; status 0: no answer at all. */
export async function send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const init: RequestInit = { method, credentials: "same-origin", headers: { accept: "application/json" } };
  if (body instanceof FormData) init.body = body;
  else if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json", accept: "application/json" };
  }
  if (signal) init.signal = signal;
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch (problem) {
    if (signal?.aborted) throw problem;
    throw new ApiError(0, "", "unreachable");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let parsed: unknown = null;
  try {
    parsed = JSON.parse(text);
  } catch {
    // A proxy's page: the status says enough.
  }
  const error = errorOf(answer.status, parsed, answer.headers.get("x-request-id") ?? "");
  const isLogin = path === "/api/v1/auth/login";
  if (!isLogin && (error.status === 401 || error.code === "password_change_required")) refused(error);
  throw error;
}

export async function api<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const answer = await send(method, path, body, signal);
  if (answer.status === 204) return undefined as T;
  return (await answer.json()) as T;
}

interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/** All pages of a list, to a limit: what is longer is for the CLI. */
export async function list<T>(path: string, signal?: AbortSignal, most = 2000): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const join = path.includes("?") ? "&" : "?";
    const at = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<T> = await api<Page<T>>("GET", `${path}${join}limit=500${at}`, undefined, signal);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null && items.length < most);
  return items;
}
