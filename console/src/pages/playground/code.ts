// The same request for a program. Pure.

export type Path = "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" | "/v1/rerank" | "/v1/images/generations" | Sound;
type Sound = "/v1/audio/speech" | "/v1/audio/transcriptions";

// What the OpenAI clients call it, and what of the answer is printed; rerank is none of theirs.
const CALLS: Record<Exclude<Path, "/v1/rerank" | Sound>, { method: string; result: string }> = {
  "/v1/chat/completions": { method: "chat.completions.create", result: "answer.choices[0].message.content" },
  "/v1/completions": { method: "completions.create", result: "answer.choices[0].text" },
  "/v1/embeddings": { method: "embeddings.create", result: "answer.data[0].embedding" },
  "/v1/images/generations": { method: "images.generate", result: "answer.data[0].b64_json" },
};

function pretty(body: Record<string, unknown>): string {
  return JSON.stringify(body, null, 2);
}

/** For sh: in single quotes, where only the quote itself means something. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function curl(origin: string, path: Path, body: Record<string, unknown>): string {
  if (path === "/v1/audio/transcriptions") {
    const fields = Object.entries(body).map(([name, value]) => ` \\\n  -F ${quoted(`${name}=${name === "file" ? "@" : ""}${value}`)}`);
    return `curl ${origin}${path} \\\n  -H "Authorization: Bearer $GANTRY_API_KEY"${fields.join("")}\n`;
  }
  return `curl ${origin}${path} \\\n  -H "Authorization: Bearer $GANTRY_API_KEY" \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(pretty(body))}${path === "/v1/audio/speech" ? ` \\\n  -o ${quoted(fileOf(body))}` : ""}\n`;
}

function fileOf(body: Record<string, unknown>): string {
  return `speech.${String(body["response_format"] ?? "mp3")}`;
}

// JSON is Python but for three words, none of which stands outside a string elsewhere.
function pythonValue(value: unknown): string {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value as object).map(([key, one]) => `${JSON.stringify(key)}: ${pythonValue(one)}`).join(", ")}}`;
  return JSON.stringify(value);
}

export function python(origin: string, path: Path, body: Record<string, unknown>): string {
  if (path === "/v1/rerank") {
    return `import os\nimport httpx  # pip install httpx\n\nanswer = httpx.post(${JSON.stringify(origin + path)}, headers={"Authorization": "Bearer " + os.environ["GANTRY_API_KEY"]}, json=${pythonValue(body)})\nprint(answer.json()["results"])\n`;
  }
  const opened = (name: string, value: unknown) => (path === "/v1/audio/transcriptions" && name === "file" ? `open(${JSON.stringify(value)}, "rb")` : pythonValue(value));
  const client = `import os\nfrom openai import OpenAI  # pip install openai\n\nclient = OpenAI(base_url=${JSON.stringify(`${origin}/v1`)}, api_key=os.environ["GANTRY_API_KEY"])\n`;
  const words = Object.entries(body).map(([name, value]) => `    ${name}=${opened(name, value)},`);
  if (path === "/v1/audio/speech") return `${client}with client.audio.speech.with_streaming_response.create(\n${words.join("\n")}\n) as answer:\n    answer.stream_to_file(${JSON.stringify(fileOf(body))})\n`;
  if (path === "/v1/audio/transcriptions") return `${client}print(client.audio.transcriptions.create(\n${words.join("\n")}\n))\n`;
  const { method, result } = CALLS[path];
  return `${client}answer = client.${method}(\n${words.join("\n")}\n)\nprint(${result})\n`;
}

export function node(origin: string, path: Path, body: Record<string, unknown>): string {
  if (path === "/v1/rerank") {
    return `const answer = await fetch(${JSON.stringify(origin + path)}, {\n  method: "POST",\n  headers: { authorization: \`Bearer \${process.env.GANTRY_API_KEY}\`, "content-type": "application/json" },\n  body: JSON.stringify(${pretty(body)}),\n});\nconsole.log((await answer.json()).results);\n`;
  }
  const client = `import OpenAI from "openai"; // npm install openai\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(`${origin}/v1`)}, apiKey: process.env.GANTRY_API_KEY });\n`;
  if (path === "/v1/audio/speech") return `import { writeFile } from "node:fs/promises";\n${client}const answer = await client.audio.speech.create(${pretty(body)});\nawait writeFile(${JSON.stringify(fileOf(body))}, Buffer.from(await answer.arrayBuffer()));\n`;
  if (path === "/v1/audio/transcriptions") {
    const { file, ...rest } = body;
    return `import { createReadStream } from "node:fs";\n${client}console.log(await client.audio.transcriptions.create({ file: createReadStream(${JSON.stringify(file)}), ...${pretty(rest)} }));\n`;
  }
  const { method, result } = CALLS[path];
  return `${client}const answer = await client.${method}(${pretty(body)});\nconsole.log(${result});\n`;
}
