// Records what the microphone hears, where the browser allows it: over HTTPS and on localhost only.
import { Mic, Square } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { t } from "../../i18n/index.ts";
import { Button } from "../../ui/basics.tsx";
import { say } from "../../ui/overlays.tsx";

const ENDINGS: Record<string, string> = { "audio/webm": "webm", "audio/ogg": "ogg", "audio/mp4": "mp4" };

export function Recorder({ take }: { take: (file: File) => void }) {
  const [recording, setRecording] = useState(false);
  const recorder = useRef<MediaRecorder | null>(null);
  const end = () => {
    for (const track of recorder.current?.stream.getTracks() ?? []) track.stop();
    recorder.current = null;
    setRecording(false);
  };
  useEffect(() => end, []);
  if (!("mediaDevices" in navigator) || typeof MediaRecorder !== "function") return null;

  async function begin() {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const own = new MediaRecorder(stream);
      const parts: Blob[] = [];
      own.ondataavailable = (event) => parts.push(event.data);
      own.onstop = () => {
        const type = own.mimeType.split(";")[0] ?? "";
        take(new File(parts, `${t("speech.recording")}.${ENDINGS[type] ?? "webm"}`, { type }));
        end();
      };
      recorder.current = own;
      own.start();
      setRecording(true);
    } catch (problem) {
      say(t("speech.no_microphone", { why: problem instanceof Error ? problem.message : String(problem) }), true);
    }
  }
  return recording ? (
    <Button look="danger" icon={<Square size={15} aria-hidden />} onClick={() => recorder.current?.stop()}>{t("speech.stop")}</Button>
  ) : (
    <Button icon={<Mic size={16} aria-hidden />} onClick={() => void begin()}>{t("speech.record")}</Button>
  );
}
