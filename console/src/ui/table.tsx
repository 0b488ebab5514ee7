// A list that filters and sorts, and keeps how in the page's address. Cards on a phone.
import { ArrowDown, ArrowUp, Search } from "lucide-react";
import { type ReactNode, type RefObject, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { t } from "../i18n/index.ts";
import { byText } from "../lib/order.ts";
import { useUrl } from "../lib/url.ts";
import { classes } from "./basics.tsx";
import { LONG, Rows } from "./rows.tsx";

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ReactNode;
  /** What it is sorted by; without it it is not. */
  by?: (row: T) => string | number;
  right?: boolean;
  /** The one that names the row, on a phone. */
  lead?: boolean;
}

interface TableProps<T> {
  label: string;
  rows: readonly T[];
  id: (row: T) => string;
  columns: Column<T>[];
  /** What a filter is looked for in; without it there is none. */
  text?: (row: T) => string;
  sort?: string;
  actions?: (row: T) => ReactNode;
  tools?: ReactNode;
  empty: ReactNode;
}

export function Table<T>({ label, rows, id, columns, text, sort = "", actions, tools, empty }: TableProps<T>) {
  const [filter, setFilter] = useUrl("q", "");
  const [order, setOrder] = useUrl("sort", sort);
  const head = useRef<HTMLTableRowElement>(null);
  const down = order.startsWith("-");
  const sorted = useMemo(() => {
    const wanted = filter.trim().toLowerCase();
    const found = wanted && text ? rows.filter((row) => text(row).toLowerCase().includes(wanted)) : [...rows];
    const by = columns.find((column) => column.key === order.replace(/^-/, ""))?.by;
    if (by) {
      found.sort((a, b) => {
        const [x, y] = [by(a), by(b)];
        const less = typeof x === "number" && typeof y === "number" ? x - y : byText(String(x), String(y));
        return down ? -less : less;
      });
    }
    return found;
  }, [rows, filter, order, down, columns, text]);

  const widths = useWidths(head, sorted.length >= LONG);

  if (rows.length === 0) return <section className="card">{empty}</section>;
  return (
    <section className="card" aria-label={label}>
      {(text || tools) && (
        <div className="card-head">
          {text && (
            <div className="search">
              <Search size={16} aria-hidden />
              <input className="input" type="search" placeholder={t("filter")} aria-label={t("filter")} value={filter} onChange={(event) => setFilter(event.target.value)} />
            </div>
          )}
          <span className="end row wrap">{tools}</span>
        </div>
      )}
      <div className="table-wrap">
        <table className="table cards" aria-rowcount={sorted.length + 1} style={widths ? { tableLayout: "fixed" } : undefined}>
          {widths && <colgroup>{widths.map((width, i) => <col key={i} style={{ width: `${width}px` }} />)}</colgroup>}
          <thead>
            <tr ref={head}>
              {columns.map((column) => (
                <Head key={column.key} column={column} order={order} setOrder={setOrder} />
              ))}
              {actions && <th><span className="sr">{t("actions")}</span></th>}
            </tr>
          </thead>
          <Rows rows={sorted} id={id} columns={columns} actions={actions} />
        </table>
      </div>
      {(sorted.length === 0 || sorted.length !== rows.length) && (
        <div className="table-foot" role="status">{sorted.length === 0 ? t("filter.none", { filter }) : t("filter.found", { found: sorted.length, all: rows.length })}</div>
      )}
    </section>
  );
}

/** The columns of a long table stay as wide as they were at first, since only some of its rows are there. */
function useWidths(head: RefObject<HTMLTableRowElement | null>, long: boolean): number[] | undefined {
  const [widths, setWidths] = useState<number[]>();
  useLayoutEffect(() => {
    const row = head.current;
    if (!long || !row) {
      setWidths(undefined);
      return;
    }
    if (!widths) setWidths([...row.cells].map((cell) => cell.offsetWidth));
  }, [long, widths]);
  useEffect(() => {
    if (!long) return;
    const again = () => setWidths(undefined);
    addEventListener("resize", again);
    return () => removeEventListener("resize", again);
  }, [long]);
  return widths;
}

function Head<T>({ column, order, setOrder }: { column: Column<T>; order: string; setOrder: (order: string) => void }) {
  const up = order === column.key;
  const down = order === `-${column.key}`;
  const sorted = up ? "ascending" : down ? "descending" : undefined;
  return (
    <th className={classes(column.right && "right")} aria-sort={sorted} scope="col">
      {column.by ? (
        <button type="button" onClick={() => setOrder(up ? `-${column.key}` : column.key)}>
          {column.title}
          {up && <ArrowUp size={13} aria-hidden />}
          {down && <ArrowDown size={13} aria-hidden />}
        </button>
      ) : (
        column.title
      )}
    </th>
  );
}
