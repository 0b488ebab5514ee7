// Pictures and recordings as they come and go. Pure.

/** By its first letters: what a base64 text of a picture holds. */
export function pictureType(base64: string): string {
  if (base64.startsWith("/9j/")) return "image/jpeg";
  if (base64.startsWith("UklGR")) return "image/webp";
  return "image/png";
}

export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Where a picture may be looked at: what is no address of the web is none. */
export function webUrl(text: string | undefined): string {
  return text && /^https?:\/\//i.test(text) ? text : "";
}

/** 75.4 -> "1:15.4" */
export function moment(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - minutes * 60).toFixed(1).padStart(4, "0")}`;
}
