// The rows of a table. Of a long one only those near what is seen are there: the others are held open by one row of their height.
import { memo, type ReactNode, useEffect, useRef, useState } from "react";
import { classes } from "./basics.tsx";
import type { Column } from "./table.tsx";

/** From how many rows on a table is cut into parts. */
export const LONG = 80;
const PART = 10;
const NEAR = "700px";
const USUAL_HEIGHT = 53;

export interface RowsProps<T> {
  rows: readonly T[];
  id: (row: T) => string;
  columns: Column<T>[];
  actions: ((row: T) => ReactNode) | undefined;
}

export function Rows<T>({ rows, ...rest }: RowsProps<T>) {
  if (rows.length < LONG) return <tbody>{rows.map((row, i) => <Row key={rest.id(row)} row={row} index={i} {...rest} />)}</tbody>;
  const parts: { from: number; rows: readonly T[] }[] = [];
  for (let from = 0; from < rows.length; from += PART) parts.push({ from, rows: rows.slice(from, from + PART) });
  return parts.map((part) => <Part key={part.from} {...part} {...rest} />);
}

function Part<T>({ from, rows, columns, actions, id }: RowsProps<T> & { from: number }) {
  const [near, setNear] = useState(from < 2 * PART);
  const body = useRef<HTMLTableSectionElement>(null);
  const height = useRef(rows.length * USUAL_HEIGHT);
  useEffect(() => {
    const element = body.current;
    if (!element) return;
    const watch = new IntersectionObserver(
      (entries) => {
        const last = entries.at(-1);
        if (!last) return;
        if (last.isIntersecting) setNear(true);
        else if (!element.contains(document.activeElement)) {
          // Who is in it with the keyboard stays there.
          height.current = last.boundingClientRect.height || height.current;
          setNear(false);
        }
      },
      { rootMargin: `${NEAR} 0px` },
    );
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return (
    <tbody ref={body}>
      {near ? rows.map((row, i) => <Row key={id(row)} row={row} index={from + i} columns={columns} actions={actions} />) : <tr aria-hidden className="held"><td colSpan={columns.length + 1} style={{ height: `${height.current}px` }} /></tr>}
    </tbody>
  );
}

interface RowProps<T> {
  row: T;
  index: number;
  columns: Column<T>[];
  actions: ((row: T) => ReactNode) | undefined;
}

function PlainRow<T>({ row, index, columns, actions }: RowProps<T>) {
  return (
    <tr aria-rowindex={index + 2}>
      {columns.map((column) => (
        <td key={column.key} data-label={column.title} className={classes(column.right && "right", column.lead && "lead")}>
          {column.cell(row)}
        </td>
      ))}
      {actions && <td className="actions">{actions(row)}</td>}
    </tr>
  );
}
// A change of one object draws one row again, where columns and actions stay the same.
const Row = memo(PlainRow) as typeof PlainRow;
