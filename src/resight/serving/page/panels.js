// The views besides the search: adding people, and the audit log and retention for administrators.
import { get, post, postPictures } from "./api.js";
import { $, confirmed, failed, h, problemBox, t, toast, when } from "./dom.js";

export function showAdd(page) {
  const files = h("input", { type: "file", name: "files", accept: "image/*", multiple: true });
  const field = (name, label, type = "text") => h("label", {}, label, h("input", { name, type, maxLength: 512, step: type === "datetime-local" ? "1" : null }));
  const place = h("div", {});
  const submit = async (event) => {
    event.preventDefault();
    const chosen = [...files.files];
    if (!chosen.length) { toast(t("noPictures")); files.focus(); return; }
    const { pid, camera, time, label, note } = Object.fromEntries(new FormData(form));
    const known = Object.fromEntries(Object.entries({ pid, camera, label, note, time: time && new Date(time).getTime() / 1000 }).filter(([, value]) => value));
    const go = form.querySelector("[type=submit]");
    go.disabled = true;
    try {
      const most = page.limits.pictures;
      for (let start = 0; start < chosen.length; start += most) {
        const part = chosen.slice(start, start + most);
        await postPictures("records", { gallery: page.gallery, records: part.map((file) => ({ source: file.name, ...known })) }, part);
        place.replaceChildren(h("p", { role: "status" }, t("added", { count: Math.min(start + most, chosen.length) })));
      }
      form.reset();
      page.refresh();
    } catch (error) { place.replaceChildren(problemBox(error)); } finally { go.disabled = false; }
  };
  const form = h("form", { class: "panel", onsubmit: submit }, h("h2", {}, t("addTitle")), h("p", {}, t("addHint")),
    h("label", {}, t("choose"), files),
    h("div", { class: "pair" }, field("pid", t("person_")), field("camera", t("camera"))),
    h("div", { class: "pair" }, field("time", t("time"), "datetime-local"), field("label", t("label"))),
    field("note", t("note")), h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, t("addGo"))), place);
  $("view-add").replaceChildren(form);
}

export async function showAdmin(page) {
  const place = $("view-admin");
  try {
    const [galleries, log] = await Promise.all([get("galleries"), get("audit", { gallery: page.gallery, limit: 200 })]);
    const holdings = h("div", { class: "panel" }, h("h2", {}, t("statsTitle")),
      h("ul", {}, galleries.map((one) => h("li", {}, `${one.name}: ${t("records", { count: one.records.toLocaleString() })}`))));
    const days = h("input", { type: "number", min: "1", max: "36500", value: "30", required: true });
    const expire = async (event) => {
      event.preventDefault();
      if (!(await confirmed(t("retentionSure", { days: days.value }), t("retentionGo")))) return;
      try {
        const done = await post("retention", { gallery: page.gallery, keep_days: Number(days.value) });
        toast(t("retentionDone", { count: done.deleted }));
        page.refresh();
        showAdmin(page);
      } catch (error) { failed(error); }
    };
    const retention = h("form", { class: "panel", onsubmit: expire }, h("h2", {}, t("retentionTitle")), h("p", {}, t("retentionHint")),
      h("label", {}, t("days"), days), h("div", { class: "row" }, h("button", { type: "submit", class: "danger" }, t("retentionGo"))));
    const rows = log.map((entry) => h("tr", {}, h("td", {}, when(entry.at)), h("td", {}, entry.actor), h("td", {}, entry.action), h("td", {}, Object.entries(entry.detail).map(([name, value]) => `${name}: ${[value].flat().join(", ")}`).join("; "))));
    const audit = h("div", { class: "panel" }, h("h2", {}, t("auditTitle")),
      h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": t("auditTitle") }, h("table", {},
        h("thead", {}, h("tr", {}, ["at", "who", "what", "details"].map((name) => h("th", { scope: "col" }, t(name))))), h("tbody", {}, rows))),
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => showAdmin(page) }, t("more"))));
    place.replaceChildren(holdings, retention, audit);
  } catch (error) { place.replaceChildren(problemBox(error, () => showAdmin(page))); }
}
