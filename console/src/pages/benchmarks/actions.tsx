// What can be done to a benchmark, wherever it is shown.
import { CircleStop, Ellipsis, RotateCcw, Trash2 } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { api } from "../../api/client.ts";
import type { Benchmark } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { isOver } from "../../lib/benchmarks.ts";
import { Button } from "../../ui/basics.tsx";
import { attempt, Confirm, Menu, say } from "../../ui/overlays.tsx";

export function pathOf(id: string): string {
  return `/api/v1/benchmarks/${encodeURIComponent(id)}`;
}

export function BenchmarkMenu({ of, leave }: { of: Benchmark; leave?: boolean }) {
  const [asked, setAsked] = useState(false);
  const [, go] = useLocation();
  return (
    <>
      <Menu
        trigger={<Button look="quiet" label={t("actions.of", { name: of.name })} icon={<Ellipsis size={18} aria-hidden />} />}
        entries={[
          isOver(of)
            ? { text: t("benchmarks.again"), icon: <RotateCcw size={16} aria-hidden />, run: () => go(`/new?again=${encodeURIComponent(of.id)}`) }
            : { text: t("benchmarks.cancel"), icon: <CircleStop size={16} aria-hidden />, run: () => attempt(api("POST", `${pathOf(of.id)}/cancel`, {}), t("benchmarks.cancelled", { name: of.name })) },
          null,
          { text: t("delete"), icon: <Trash2 size={16} aria-hidden />, danger: true, disabled: !isOver(of), run: () => setAsked(true) },
        ]}
      />
      {asked && (
        <Confirm
          title={t("benchmarks.delete")}
          about={t("benchmarks.delete.about", { name: of.name })}
          action={t("delete")}
          onClose={() => setAsked(false)}
          submit={async () => {
            await api("DELETE", pathOf(of.id));
            say(t("deleted", { name: of.name }));
            if (leave) go("/");
          }}
        />
      )}
    </>
  );
}
