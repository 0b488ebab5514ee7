// A page's head: what it is, what it is for, what can be done on it.
import type { ReactNode } from "react";

export function PageBody({ title, about, actions, children }: { title: ReactNode; about?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  return (
    <div className="page">
      <header className="page-head">
        <div className="grow">
          <h1 className="break">{title}</h1>
          {about && <p>{about}</p>}
        </div>
        {actions && <div className="actions">{actions}</div>}
      </header>
      {children}
    </div>
  );
}
