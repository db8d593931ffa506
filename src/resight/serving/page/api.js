// Calls of the service.  Every answer is {ok: true, data} or {ok: false, error: {code, message, hint}}.

export class Problem extends Error {
  constructor(status, { code = "", message = "", hint = "" } = {}) {
    super(message);
    Object.assign(this, { status, code, hint });
  }
}

let askKey = async () => false; // set by the page: asks for a key, resolves to whether one was given
export const onKeyNeeded = (ask) => { askKey = ask; };
export const setKey = (key) => sessionStorage.setItem("resight-key", key);

async function send(path, options = {}) {
  const key = sessionStorage.getItem("resight-key");
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "offline" });
  }
  if (answer.ok) return answer;
  const found = await answer.json().catch(() => ({}));
  if (answer.status === 401 && (await askKey(Boolean(key)))) return send(path, options);
  throw new Problem(answer.status, found.error);
}

const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return new URLSearchParams(given.flatMap(([name, value]) => [value].flat().map((one) => [name, one]))).toString();
};

export const get = async (path, values = {}, options = {}) => (await (await send(`/v1/${path}?${query(values)}`, options)).json()).data;

export const post = async (path, body, method = "POST") => {
  const options = { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return (await (await send(`/v1/${path}`, options)).json()).data;
};

export const postPictures = async (path, body, blobs, signal) => {
  const form = new FormData();
  form.append("query", JSON.stringify(body));
  blobs.forEach((blob) => form.append("pictures", blob, "picture"));
  return (await (await send(`/v1/${path}`, { method: "POST", body: form, signal })).json()).data;
};

const CACHED = 400;
const pictures = new Map(); // path -> promise of an object URL; the oldest is dropped

export function picture(id, gallery, kind = "picture") {
  const path = `/v1/records/${encodeURIComponent(id)}/${kind}?${query({ gallery })}`;
  const known = pictures.get(path) ?? send(path).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob));
  pictures.delete(path);
  pictures.set(path, known);
  known.catch(() => pictures.delete(path));
  if (pictures.size > CACHED) {
    const [oldest, url] = pictures.entries().next().value;
    pictures.delete(oldest);
    url.then(URL.revokeObjectURL).catch(() => {});
  }
  return known;
}
