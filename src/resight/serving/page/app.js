// The page: what to search for, what was found, and everything around it.
import { get, onKeyNeeded, post, postPictures, setKey } from "./api.js";
import { crop } from "./crop.js";
import { showDetail, showSide, thumb } from "./detail.js";
import { $, cameraOf, currentLanguage, dialog, failed, h, nameOf, percent, problemBox, setLanguage, t, toast, translate, when } from "./dom.js";
import { showAdd, showAdmin } from "./panels.js";

const SOME = 12; // records shown to begin from
const ROLES = ["search", "write", "admin"];
const page = {
  gallery: null, role: "search", limits: { pictures: 16 }, galleries: [],
  queries: [], // {blob, url} pictures, or {record, url} records of the gallery
  lists: [], // hits by query
  names: [], // of the queries, by list
  marks: new Map(), // query and record -> right or wrong
  picked: new Map(), // id -> record to compare
  view: "search", asking: null,
  may: (role) => ROLES.indexOf(page.role) >= ROLES.indexOf(role),
  open: (record) => showDetail(record, page),
  searchFrom(record) { page.queries.forEach((query) => query.blob && URL.revokeObjectURL(query.url)); page.queries = [{ record }]; showQueries(); search(); },
  changed: () => showResults(),
  removed(record) { page.lists = page.lists.map((hits) => hits.filter((hit) => hit.id !== record.id)); page.queries = page.queries.filter((query) => query.record?.id !== record.id); $("status").textContent = ""; showQueries(); showResults(); page.refresh(); },
  restored() { page.refresh(); if (page.queries.length) search(); },
  refresh: () => loadGalleries().catch(failed),
};

// what to search for

async function addPictures(files) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/"));
  const room = page.limits.pictures - page.queries.length;
  if (pictures.length < files.length) toast(t("notPictures", { count: files.length - pictures.length }));
  else if (pictures.length > room) toast(t("tooMany", { count: page.limits.pictures }));
  pictures.slice(0, room).forEach((file) => page.queries.push({ blob: file, url: URL.createObjectURL(file) }));
  showQueries();
  if (pictures.length) await search();
}

function showQueries() {
  const items = page.queries.map((query, at) => {
    const number = at + 1;
    const image = query.record ? thumb(query.record.id, page.gallery, t("detail", { name: nameOf(query.record) })) : h("img", { src: query.url, alt: `${t("theQuery")} ${number}` });
    const cut = async () => {
      const made = await crop(query.blob).catch(failed);
      if (!made) return;
      URL.revokeObjectURL(query.url);
      page.queries[at] = { blob: made, url: URL.createObjectURL(made) };
      showQueries();
      search();
    };
    const drop = () => { if (query.blob) URL.revokeObjectURL(query.url); page.queries.splice(at, 1); showQueries(); page.queries.length ? search() : clear(); };
    return h("li", {}, image, h("div", { class: "row" },
      query.blob && h("button", { type: "button", "aria-label": t("cropOf", { number }), onclick: cut }, t("crop")),
      h("button", { type: "button", "aria-label": t("removeOf", { number }), onclick: drop }, "✕")));
  });
  $("pictures").replaceChildren(...items);
  $("go").disabled = !page.queries.length;
}

function conditions() {
  const cameras = [...document.querySelectorAll("#cameras input:checked")].map((box) => box.value);
  const seconds = (id) => $(id).value ? new Date($(id).value).getTime() / 1000 : null;
  const least = $("least").value === "" ? null : Number($("least").value);
  const pid = $("pid").value.trim();
  return { gallery: page.gallery, k: Number($("k").value), cameras: cameras.length ? cameras : null, after: seconds("after"), before: seconds("before"),
    pids: pid ? [pid] : null, min_similarity: least, group: $("group").checked, fuse: $("fuse").checked ? "mean" : null, rerank: $("rerank").checked };
}

async function search() {
  if (!page.queries.length) return;
  page.asking?.abort();
  const asking = new AbortController();
  page.asking = asking;
  $("problem").hidden = true;
  $("status").textContent = t("searching");
  $("results").replaceChildren(h("div", { class: "cards", "aria-hidden": "true" }, Array.from({ length: 6 }, () => h("div", { class: "ghost" }))));
  const records = page.queries.filter((query) => query.record).map((query) => query.record.id);
  const blobs = page.queries.filter((query) => query.blob).map((query) => query.blob);
  try {
    const found = await postPictures("search", { ...conditions(), records }, blobs, asking.signal);
    const grouped = found.persons.map((persons) => persons.map((person) => ({ ...person.hits[0], more: person.hits.length - 1 })));
    page.lists = found.hits.length ? found.hits : grouped;
    page.names = found.queries;
    page.picked.clear();
    showResults();
    const count = page.lists.reduce((sum, hits) => sum + hits.length, 0);
    $("status").textContent = t("found", { count, seconds: found.seconds.toFixed(2) });
  } catch (error) {
    if (error.name === "AbortError") return;
    $("status").textContent = "";
    $("results").replaceChildren();
    $("problem").hidden = false;
    $("problem").replaceChildren(...problemBox(error, search).childNodes);
  }
}

function clear() {
  page.asking?.abort();
  page.queries.forEach((query) => query.blob && URL.revokeObjectURL(query.url));
  Object.assign(page, { queries: [], lists: [] });
  page.picked.clear();
  $("problem").hidden = true;
  $("status").textContent = "";
  showQueries();
  showResults();
}

// what was found

function card(record, rank, at) {
  const mark = (same) => async () => {
    try {
      await post("labels", { gallery: page.gallery, id: record.id, same, similarity: record.similarity, query: page.names[at] });
      page.marks.set(`${page.names[at]} ${record.id}`, same);
      showResults();
      toast(t("marked"));
    } catch (error) { failed(error); }
  };
  const marked = page.marks.get(`${page.names[at]} ${record.id}`), name = nameOf(record), camera = cameraOf(record);
  const pick = () => { page.picked.has(record.id) ? page.picked.delete(record.id) : page.picked.set(record.id, record); showResults(); };
  const button = (kind, label, text, pressed, act) => h("button", { type: "button", class: kind, "aria-pressed": String(pressed), "aria-label": label, title: label, onclick: act }, text);
  return h("li", { class: `card${marked === true ? " right" : marked === false ? " wrong" : ""}`, "data-id": record.id },
    h("button", { type: "button", class: "open", "aria-label": t("openOf", { rank, name, camera }), onclick: () => page.open(record) }, record.picture ? thumb(record.id, page.gallery, "") : h("span", {}, "—"), h("span", { class: "rank" }, rank)),
    h("div", { class: "about" }, h("b", {}, name), h("span", {}, `${t("similarity")} ${record.similarity.toFixed(3)}`),
      record.similarity >= 0 && h("meter", { min: 0, max: 1, value: record.similarity, "aria-label": t("similarity") }),
      record.probability !== null && h("span", { title: t("probabilityOf", { percent: percent(record.probability) }) }, `${t("probability")} ${percent(record.probability)}`),
      h("span", { class: "camera" }, camera), h("span", {}, when(record.time)), record.more > 0 && h("span", {}, `+${record.more}`)),
    h("div", { class: "row" },
      page.may("write") && button("yes", t("rightOf", { rank }), "✓", marked === true, mark(true)),
      page.may("write") && button("no", t("wrongOf", { rank }), "✗", marked === false, mark(false)),
      button("pick", t("compareOf", { rank }), "⇔", page.picked.has(record.id), pick)));
}

function showResults() {
  const focused = document.activeElement?.closest?.(".card")?.dataset.id, kind = document.activeElement?.className;
  $("compare-bar").hidden = page.picked.size < 1;
  $("compare").textContent = t("compareChosen", { count: page.picked.size });
  if (!page.queries.length) {
    const some = h("div", {});
    $("results").replaceChildren(h("div", { class: "empty" }, h("img", { src: "/static/icon.svg", alt: "", width: 72, height: 72 }), h("h2", {}, t("empty")), h("p", {}, t("emptyHint")), some));
    if (page.gallery) showSome(some);
    return;
  }
  const several = page.lists.length > 1;
  const parts = page.lists.map((hits, at) => h("section", { "aria-label": several ? t("resultsFor", { number: at + 1 }) : t("results") },
    several && h("h2", {}, t("resultsFor", { number: at + 1 })),
    hits.length ? h("ol", { class: "cards" }, hits.map((hit, rank) => card(hit, rank + 1, at)))
      : h("div", { class: "empty" }, h("h2", {}, t("none")), h("p", {}, t("noneHint")))));
  $("results").replaceChildren(...parts);
  const again = focused && document.querySelector(`.card[data-id="${CSS.escape(focused)}"]`);
  if (again) ([...again.querySelectorAll("button")].find((one) => one.className === kind) ?? again.querySelector(".open")).focus();
}

// Some people of the gallery, to begin from where no picture is at hand.
async function showSome(place) {
  const { records } = await get("records", { gallery: page.gallery, limit: 100 }).catch(() => ({ records: null }));
  if (!records) return;
  if (!records.length) {
    place.append(h("p", {}, h("strong", {}, t("emptyGallery"))));
    if (page.may("write")) place.append(h("button", { type: "button", class: "primary", onclick: () => show("add") }, t("add")));
    return;
  }
  const seen = new Set();
  const some = records.filter((one) => one.picture && (one.pid === null || (!seen.has(one.pid) && seen.add(one.pid)))).slice(0, SOME);
  const items = some.map((one) => h("li", {}, h("button", { type: "button", "aria-label": t("searchFromOf", { name: nameOf(one), camera: cameraOf(one) }), onclick: () => page.searchFrom(one) }, thumb(one.id, page.gallery, ""))));
  if (items.length) place.append(h("h3", {}, t("startFrom")), h("ul", { class: "strip wrap" }, items));
}

// around it

async function loadGalleries() {
  page.galleries = await get("galleries");
  const names = page.galleries.map((one) => one.name);
  if (!names.includes(page.gallery)) page.gallery = names[0];
  $("gallery").replaceChildren(...names.map((name) => h("option", { selected: name === page.gallery }, name)));
  document.querySelector("label.gallery").hidden = names.length < 2;
  showCameras();
}

function showCameras() {
  const ticked = new Set([...document.querySelectorAll("#cameras input:checked")].map((box) => box.value));
  const cameras = page.galleries.find((one) => one.name === page.gallery)?.cameras.filter((one) => one.value !== null) ?? [];
  cameras.sort((a, b) => a.value.localeCompare(b.value, undefined, { numeric: true }));
  const boxes = cameras.map((one) => h("label", { class: "check" }, h("input", { type: "checkbox", value: one.value, checked: ticked.has(one.value) }), `${one.value} (${one.records.toLocaleString()})`));
  $("cameras").replaceChildren($("cameras").querySelector("legend"), ...boxes);
  $("cameras").hidden = !boxes.length;
}

function show(view) {
  page.view = view;
  for (const name of ["search", "add", "admin"]) {
    $(`view-${name}`).hidden = name !== view;
    name === view ? $(`to-${name}`).setAttribute("aria-current", "page") : $(`to-${name}`).removeAttribute("aria-current");
  }
  if (view === "add") showAdd(page);
  if (view === "admin") showAdmin(page);
}

function askForKey(wrong) {
  return new Promise((resolve) => {
    const field = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: false });
    const use = (event) => { event.preventDefault(); setKey(field.value.trim()); resolve(true); box.close(); };
    const box = dialog(t("keyTitle"), h("form", { onsubmit: use }, h("p", {}, t("keyHint")), wrong && h("p", { class: "danger", role: "alert" }, t("failed")),
      h("label", {}, t("keyField"), field), h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, t("keyUse")))));
    box.addEventListener("close", () => resolve(false));
    field.focus();
  });
}

let keyDialog = null; // one at a time, however many calls wait for it
onKeyNeeded((wrong) => { keyDialog ??= askForKey(wrong).finally(() => { keyDialog = null; }); return keyDialog; });

function showHelp() {
  const rows = [["/", "helpSlash"], ["← → ↑ ↓", "helpArrows"], ["Enter", "helpEnter"], ["r  w", "helpMarks"], ["c", "helpCompare"], ["Esc", "helpEsc"]];
  dialog(t("helpTitle"), h("dl", {}, rows.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(text))])));
}

function moveFocus(key) {
  const opens = [...document.querySelectorAll(".card .open")];
  const at = opens.indexOf(document.activeElement);
  if (at < 0) { opens[0]?.focus(); return; }
  const columns = opens.filter((one) => Math.abs(one.getBoundingClientRect().top - opens[0].getBoundingClientRect().top) < 5).length || 1;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  opens[Math.min(opens.length - 1, Math.max(0, at + step))].focus();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || page.view !== "search") return;
  if (event.target.closest("input, select, textarea")) return;
  const own = document.activeElement?.closest?.(".card");
  const press = (kind) => own?.querySelector(`button.${kind}`)?.click();
  if (event.key === "/") $("files").click();
  else if (event.key === "?") showHelp();
  else if (event.key.startsWith("Arrow") && (own || document.activeElement === $("results"))) moveFocus(event.key);
  else if (own && event.key === "r") press("yes");
  else if (own && event.key === "w") press("no");
  else if (own && event.key === "c") press("pick");
  else return;
  event.preventDefault();
}

function listen() {
  $("query").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  $("clear").addEventListener("click", clear);
  $("files").addEventListener("change", () => { addPictures($("files").files); $("files").value = ""; });
  $("compare").addEventListener("click", () => showSide([...page.picked.values()], page.queries.filter((query) => query.url), page));
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, (event) => { event.preventDefault(); $("drop").classList.remove("over"); });
  document.addEventListener("drop", (event) => page.view === "search" && addPictures(event.dataTransfer.files));
  document.addEventListener("paste", (event) => page.view === "search" && event.clipboardData.files.length && addPictures(event.clipboardData.files));
  document.addEventListener("keydown", onKey);
  $("gallery").addEventListener("change", () => { page.gallery = $("gallery").value; page.queries = page.queries.filter((query) => query.blob); showCameras(); showQueries(); page.queries.length ? search() : showResults(); show(page.view); });
  for (const name of ["search", "add", "admin"]) $(`to-${name}`).addEventListener("click", () => show(name));
  $("help").addEventListener("click", showHelp);
  $("language").addEventListener("click", () => { setLanguage(currentLanguage() === "en" ? "zh" : "en"); showQueries(); showResults(); show(page.view); });
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    setTheme(dark ? "light" : "dark");
  });
  $("key").addEventListener("click", async () => { if (await askForKey(false)) start(); });
}

function setTheme(theme) {
  localStorage.setItem("resight-theme", theme);
  document.documentElement.dataset.theme = theme;
}

async function start() {
  try {
    const health = await get("health");
    $("key").hidden = !health.keys;
    const me = await get("me");
    Object.assign(page, { role: me.role, limits: me.limits });
    $("to-add").hidden = !page.may("write");
    $("to-admin").hidden = !page.may("admin");
    await loadGalleries();
    showQueries();
    showResults();
  } catch (error) {
    $("problem").hidden = false;
    $("problem").replaceChildren(...problemBox(error, () => { $("problem").hidden = true; start(); }).childNodes);
  }
}

if (matchMedia("(max-width: 48rem)").matches) $("filters").open = false;
const theme = localStorage.getItem("resight-theme");
if (theme) document.documentElement.dataset.theme = theme;
translate();
listen();
showQueries();
showResults();
start();
