// One record: larger, where the model looks, before and after, where and when its person was seen, changes, deletion.
import { get, picture, post } from "./api.js";
import { cameraOf, confirmed, dialog, failed, h, nameOf, percent, t, toast, when } from "./dom.js";

const NEAR_SECONDS = 300;
const MOST = 500; // records of a person on the line

export function thumb(id, gallery, alt, kind = "picture") {
  const image = h("img", { alt, loading: "lazy" });
  picture(id, gallery, kind).then((url) => { image.src = url; }).catch(() => { image.alt = "—"; });
  return image;
}

export function showDetail(record, page) {
  const big = h("div", { class: "big" }, thumb(record.id, page.gallery, t("detail", { name: nameOf(record) })));
  const facts = h("dl", {}, ...[
    [t("person_"), nameOf(record)], [t("camera"), cameraOf(record)], [t("time"), when(record.time)],
    record.similarity !== undefined && [t("similarity"), record.similarity.toFixed(3)],
    record.probability !== null && record.probability !== undefined && [t("probability"), percent(record.probability)],
    record.label && [t("label"), record.label], record.note && [t("note"), record.note],
    record.source && [t("source"), record.source], [t("id"), record.id],
  ].filter(Boolean).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  const look = h("button", { type: "button", "aria-pressed": "false", class: "pick", onclick: () => {
    const on = look.getAttribute("aria-pressed") !== "true";
    look.setAttribute("aria-pressed", String(on));
    big.replaceChildren(thumb(record.id, page.gallery, on ? t("attentionAlt") : t("detail", { name: nameOf(record) }), on ? "attention" : "picture"));
  } }, t("attention"));
  const search = h("button", { type: "button", class: "primary", onclick: () => { box.close(); page.searchFrom(record); } }, t("searchFrom"));
  const actions = h("div", { class: "row" }, search, record.picture && look,
    page.may("admin") && h("button", { type: "button", class: "danger", onclick: () => remove(record, page, box) }, t("remove")));
  const near = h("div", {}), line = h("div", {});
  const box = dialog(t("detail", { name: nameOf(record) }),
    h("div", { class: "detail" }, big, h("div", {}, facts, actions, page.may("write") && changes(record, page))), near, line);
  if (record.time !== null && record.camera) showNear(record, page, near);
  if (record.pid) showLine(record, page, line);
  return box;
}

function changes(record, page) {
  const field = (name, label) => h("label", {}, label, h("input", { name, type: "text", value: record[name] ?? "", maxLength: 512 }));
  const save = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    const body = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.trim() || null]));
    try {
      const now = await post(`records/${encodeURIComponent(record.id)}`, { gallery: page.gallery, ...body }, "PATCH");
      Object.assign(record, now);
      page.changed(record);
      toast(t("saved"));
    } catch (error) { failed(error); }
  };
  const form = h("form", { onsubmit: save }, h("div", { class: "pair" }, field("pid", t("person_")), field("label", t("label"))),
    field("note", t("note")), h("div", { class: "row" }, h("button", { type: "submit" }, t("save"))));
  return form;
}

async function showNear(record, page, place) {
  try {
    const where = { gallery: page.gallery, cameras: record.camera, after: record.time - NEAR_SECONDS, before: record.time + NEAR_SECONDS, limit: 60 };
    const found = (await get("records", where)).records.filter((one) => one.id !== record.id).sort((a, b) => a.time - b.time);
    const items = found.map((one) => h("li", {}, h("button", { type: "button", "aria-label": `${nameOf(one)}, ${when(one.time)}`, onclick: () => { place.closest("dialog").close(); page.open(one); } },
      thumb(one.id, page.gallery, ""), `${one.time < record.time ? "−" : "+"}${Math.abs(Math.round(one.time - record.time))} s`)));
    place.append(h("h3", {}, t("near")), items.length ? h("ul", { class: "strip" }, items) : h("p", {}, t("nearNone")));
  } catch (error) { failed(error); }
}

async function showLine(record, page, place) {
  try {
    const found = (await get("records", { gallery: page.gallery, pids: record.pid, limit: MOST })).records.filter((one) => one.time !== null);
    if (found.length < 2) return;
    const times = found.map((one) => one.time), first = Math.min(...times), span = Math.max(...times) - first || 1;
    const cameras = [...new Set(found.map(cameraOf))].sort();
    const rows = cameras.flatMap((camera) => [h("span", {}, camera), h("div", { class: "track" }, found.filter((one) => cameraOf(one) === camera).map((one) => {
      const dot = h("button", { type: "button", "aria-label": `${camera}, ${when(one.time)}`, title: when(one.time), onclick: () => { place.closest("dialog").close(); page.open(one); } }, thumb(one.id, page.gallery, ""));
      dot.style.left = `${(100 * (one.time - first)) / span}%`;
      return dot;
    }))]);
    place.append(h("h3", {}, t("timeline", { name: nameOf(record) })), h("div", { class: "line" }, rows),
      h("div", { class: "scale" }, h("span", {}, when(first)), h("span", {}, when(first + span))));
  } catch (error) { failed(error); }
}

async function remove(record, page, box) {
  if (!(await confirmed(t("removeSure"), t("remove")))) return;
  try {
    const done = await post("records/delete", { gallery: page.gallery, ids: [record.id] });
    box.close();
    page.removed(record);
    offerUndo(done, page, record);
  } catch (error) { failed(error); }
}

function offerUndo(done, page, record) {
  if (!done.undo) { toast(t("removed")); return; }
  let left = Math.floor(done.undo_seconds);
  const undo = h("button", { type: "button", onclick: async () => {
    clearInterval(timer);
    hide();
    try {
      await post("records/undo", { token: done.undo });
      page.restored(record);
      toast(t("undone"));
    } catch (error) { failed(error); }
  } }, t("undo", { seconds: left }));
  const timer = setInterval(() => { left -= 1; undo.textContent = t("undo", { seconds: Math.max(0, left) }); if (left <= 0) clearInterval(timer); }, 1000);
  const hide = toast(t("removed"), left, undo);
}

export function showSide(records, queries, page) {
  const figures = [
    ...queries.map((query) => h("figure", {}, h("img", { src: query.url, alt: t("theQuery") }), h("figcaption", {}, t("theQuery")))),
    ...records.map((record) => h("figure", {}, thumb(record.id, page.gallery, t("detail", { name: nameOf(record) })),
      h("figcaption", {}, `${nameOf(record)} · ${cameraOf(record)} · ${when(record.time)}${record.similarity === undefined ? "" : ` · ${record.similarity.toFixed(3)}`}`))),
  ];
  dialog(t("comparing"), h("div", { class: "side", tabIndex: 0, role: "group", "aria-label": t("comparing") }, figures));
}
