// Making elements, words in the chosen language, dialogs and short notes.  Text is always set as text, never as HTML.
import { STRINGS } from "./strings.js";

export const $ = (id) => document.getElementById(id);

let language = localStorage.getItem("resight-language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
export const currentLanguage = () => language;

export function t(name, values = {}) {
  const text = STRINGS[language][name] ?? STRINGS.en[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

export function setLanguage(next) {
  language = next;
  localStorage.setItem("resight-language", next);
  translate();
}

export function translate() {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-text]").forEach((node) => { node.textContent = t(node.dataset.text); });
  document.querySelectorAll("[data-label]").forEach((node) => node.setAttribute("aria-label", t(node.dataset.label)));
  $("language").textContent = language === "en" ? "中文" : "English";
  $("language").lang = language === "en" ? "zh" : "en";
}

// h("button", {class: "primary", onclick: f}, "text", child)
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function dialog(title, ...content) {
  const close = h("button", { type: "button", onclick: () => box.close() }, t("close"));
  const box = h("dialog", { "aria-label": title }, h("div", { class: "top" }, h("h2", {}, title), close), ...content);
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

export function confirmed(question, action) {
  return new Promise((resolve) => {
    const answer = (value) => () => { resolve(value); box.close(); };
    const box = dialog(question, h("div", { class: "row" },
      h("button", { type: "button", class: "danger", onclick: answer(true) }, action),
      h("button", { type: "button", autofocus: true, onclick: answer(false) }, t("cancel"))));
    box.addEventListener("close", () => resolve(false));
  });
}

export function toast(text, seconds = 4, button = null) {
  document.querySelectorAll(".toast").forEach((old) => old.remove());
  const note = h("div", { class: "toast" }, h("span", {}, text), button);
  $("toasts").append(note);
  const timer = setTimeout(() => note.remove(), seconds * 1000);
  return () => { clearTimeout(timer); note.remove(); };
}

export function problemBox(error, retry = null) {
  const offline = error.code === "offline";
  return h("div", { class: "problem", role: "alert" },
    h("strong", {}, offline ? t("offline") : t("failed")),
    h("span", {}, offline ? t("offlineHint") : [error.message, error.hint].filter(Boolean).join(" ")),
    retry && h("div", { class: "row" }, h("button", { type: "button", onclick: retry }, t("retry"))));
}

export const failed = (error) => toast([error.code === "offline" ? t("offline") : error.message, error.hint].filter(Boolean).join(" "), 8);

export const when = (seconds) => seconds === null ? t("unknownTime")
  : new Date(seconds * 1000).toLocaleString(language === "zh" ? "zh-CN" : undefined, { dateStyle: "short", timeStyle: "medium" });
export const nameOf = (record) => record.pid ?? t("unnamed");
export const cameraOf = (record) => record.camera ?? t("unknownCamera");
export const percent = (share) => `${(100 * share).toFixed(0)} %`;
