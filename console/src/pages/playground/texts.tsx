// Texts one below the other, each in a line of its own, that can be added and taken away.
import { Plus, X } from "lucide-react";
import { t } from "../../i18n/index.ts";
import { Button } from "../../ui/basics.tsx";

interface Props {
  label: (n: number) => string;
  add: string;
  values: string[];
  onChange: (values: string[]) => void;
  least: number;
  most: number;
}

export function Texts({ label, add, values, onChange, least, most }: Props) {
  return (
    <div className="stack tight">
      {values.map((value, i) => (
        <div key={i} className="row text-line">
          <span className="small muted num" aria-hidden>{i + 1}</span>
          <textarea
            className="input"
            rows={1}
            aria-label={label(i + 1)}
            value={value}
            onChange={(event) => onChange(values.map((one, k) => (k === i ? event.target.value : one)))}
            onPaste={(event) => {
              // Lines that are pasted into an empty field become fields.
              const lines = event.clipboardData.getData("text/plain").split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
              if (value || lines.length < 2) return;
              event.preventDefault();
              onChange([...values.slice(0, i), ...lines, ...values.slice(i + 1)].slice(0, most));
            }}
          />
          <Button small look="quiet" label={t("texts.remove", { n: i + 1 })} disabled={values.length <= least} icon={<X size={14} aria-hidden />} onClick={() => onChange(values.filter((_, k) => k !== i))} />
        </div>
      ))}
      <div><Button small disabled={values.length >= most} icon={<Plus size={14} aria-hidden />} onClick={() => onChange([...values, ""])}>{add}</Button></div>
    </div>
  );
}
