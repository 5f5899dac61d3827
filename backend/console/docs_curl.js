/** A route as a line for a shell: what it needs and no more. Pure. */

const PICTURE = "picture.jpg";
const EVENTS = "text/event-stream";

/** "curl -X PUT -H … '…/api/rollout'"; the key is `$KEY`, whatever it is. */
export function curlOf({ method, path, told }, origin) {
  const words = ["curl"];
  const answered = Object.keys(told.responses[200]?.content ?? {});
  if (answered.includes(EVENTS)) words.push("-N");
  if (answered.some((kind) => kind.startsWith("image/") && answered.length === 1)) words.push("-O");
  const body = bodyOf(told.requestBody);
  if (method !== (body.length ? "POST" : "GET")) words.push(`-X ${method}`);
  if (told["x-role"] !== "none") words.push('-H "X-API-Key: $KEY"');
  for (const one of needed(told, "header")) words.push(`-H ${quoted(`${one.name}: ${exampleOf(one)}`)}`);
  const place = needed(told, "path").reduce((text, one) => text.replace(`{${one.name}}`, exampleOf(one)), path);
  const asked = (told.parameters ?? []).filter((one) => one.in === "query" && one.example !== undefined);
  const query = asked.map((one) => `${one.name}=${encodeURIComponent(one.example)}`).join("&");
  return [...words, ...body, quoted(`${origin}${place}${query && `?${query}`}`)].join(" ");
}

function bodyOf(requestBody) {
  const bodies = requestBody?.content ?? {};
  if ("multipart/form-data" in bodies) {
    const fields = Object.entries(bodies["multipart/form-data"].schema.properties);
    return fields.filter(([, one]) => (one.items ?? one).format === "binary").map(([name]) => `-F ${name}=@${PICTURE}`);
  }
  const example = bodies["application/json"]?.example;
  return example === undefined ? [] : ["-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(example))}`];
}

function needed({ parameters = [] }, place) {
  return parameters.filter((one) => one.in === place && one.required);
}

function exampleOf({ name, example }) {
  return String(example ?? name.toUpperCase());
}

/** As one word, whatever is in it. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
