// What an instance went through: its states over time as a bar, and one by one with their reasons.
import { api } from "../../api/client.ts";
import type { Instance, InstanceEvent } from "../../api/types.ts";
import { languageNow, t, told, word } from "../../i18n/index.ts";
import { useNow } from "../../lib/clock.ts";
import { useFetched } from "../../lib/fetched.ts";
import { exactTime, span } from "../../lib/format.ts";
import { Card, Loading, Problem, State, stateLook, Time } from "../../ui/basics.tsx";

/** With how long it was so, in milliseconds. */
interface Stay {
  event: InstanceEvent;
  ms: number;
}

export function staysOf(events: InstanceEvent[], now: number): Stay[] {
  return events.map((event, i) => {
    const next = events[i + 1];
    return { event, ms: Math.max(0, (next ? Date.parse(next.at) : Math.max(now, Date.parse(event.at))) - Date.parse(event.at)) };
  });
}

export function Timeline({ instance }: { instance: Instance }) {
  const path = `/api/v1/instances/${encodeURIComponent(instance.id)}/events`;
  // Again when it has come to another state.
  const events = useFetched((signal) => api<{ items: InstanceEvent[] }>("GET", path, undefined, signal), [path, instance.state, instance.restarts]);
  const now = useNow();
  const stays = staysOf(events.value?.items ?? [], now);
  const all = stays.reduce((sum, stay) => sum + stay.ms, 0);
  return (
    <Card title={t("timeline.of", { id: instance.id })}>
      {events.error && <Problem error={events.error} again={events.again} />}
      {events.loading && !events.value && <Loading />}
      {all > 0 && (
        <div className="bar tall" role="img" aria-label={stays.map(({ event, ms }) => `${word("state", event.state)} ${span(ms / 1000)}`).join(", ")}>
          {stays.map(({ event, ms }, i) => (
            <span key={i} style={{ width: `${(ms / all) * 100}%`, background: `var(--${stateLook(event.state) ?? "text-3"})` }} title={`${word("state", event.state)} · ${exactTime(event.at, languageNow())} · ${span(ms / 1000)}`} />
          ))}
        </div>
      )}
      <ol className="timeline">
        {stays.toReversed().map(({ event, ms }, i) => (
          <li key={stays.length - i}>
            <span className="small muted event-time"><Time at={event.at} /></span>
            <State of={event.state} />
            <span className="grow small break">{told(event.reason)}{event.restarts > 0 && <span className="muted"> {t("instances.restarts", { n: event.restarts })}</span>}</span>
            <span className="small muted num nowrap">{t("timeline.for", { time: span(ms / 1000) })}</span>
          </li>
        ))}
      </ol>
    </Card>
  );
}
