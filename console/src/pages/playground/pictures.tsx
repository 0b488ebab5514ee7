// Pictures that go along with a question, for models that see.
import { ImagePlus, X } from "lucide-react";
import { useRef } from "react";
import { t } from "../../i18n/index.ts";
import { useAll } from "../../live/store.ts";
import { Button } from "../../ui/basics.tsx";
import { say } from "../../ui/overlays.tsx";

const MOST = 4;
const LARGEST = 8 * 1024 * 1024;

/** Whether the model that a deployment serves takes pictures, as its files say. */
export function useSees(model: string): boolean {
  const deployments = useAll("deployments");
  const models = useAll("models");
  const source = deployments.find((one) => one.name === model)?.source;
  return models.some((one) => one.source === source && one.meta.modality === "vision");
}

function urlOf(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error(file.name));
    reader.readAsDataURL(file);
  });
}

export async function picturesOf(files: Iterable<File>, before: string[]): Promise<string[]> {
  const found = [...before];
  for (const file of files) {
    if (!file.type.startsWith("image/")) continue;
    if (file.size > LARGEST) say(t("pictures.large", { name: file.name }), true);
    else if (found.length >= MOST) say(t("pictures.most", { n: MOST }), true);
    else found.push(await urlOf(file));
  }
  return found;
}

export function PictureButton({ add }: { add: (files: File[]) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input ref={input} type="file" accept="image/*" multiple hidden aria-label={t("pictures.add")} onChange={(event) => {
        add([...(event.target.files ?? [])]);
        event.target.value = "";
      }} />
      <Button look="quiet" label={t("pictures.add")} icon={<ImagePlus size={17} aria-hidden />} onClick={() => input.current?.click()} />
    </>
  );
}

export function Pictures({ urls, remove }: { urls: string[]; remove: (at: number) => void }) {
  if (urls.length === 0) return null;
  return (
    <ul className="pictures">
      {urls.map((url, i) => (
        <li key={i}>
          <img src={url} alt={t("pictures.n", { n: i + 1 })} />
          <Button small label={t("texts.remove", { n: i + 1 })} icon={<X size={12} aria-hidden />} onClick={() => remove(i)} />
        </li>
      ))}
    </ul>
  );
}
