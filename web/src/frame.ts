// Behaviour of the frame: the key to search, dialogs, menus, toasts, tabs, theme.
import { announce } from "./announce.ts";

const TYPING = "input, textarea, select, [contenteditable]";

function singleKeysOn(): boolean {
  return document.documentElement.dataset["keys"] !== "off"; // WCAG 2.1.4: a person may switch them off
}

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target instanceof Element && event.target.closest(TYPING)) return;
  if (event.key === "/" && singleKeysOn()) {
    const search = document.querySelector<HTMLInputElement>("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  }
}

function onClick(event: MouseEvent): void {
  if (!(event.target instanceof Element)) return;
  const opener = event.target.closest<HTMLElement>("[data-dialog]");
  if (opener) {
    const dialog = document.getElementById(opener.dataset["dialog"] ?? "");
    if (dialog instanceof HTMLDialogElement) {
      event.preventDefault();
      dialog.showModal();
    }
    return;
  }
  const closer = event.target.closest("[data-close]");
  if (closer) {
    closer.closest("dialog")?.close();
    closer.closest("[data-toast]")?.remove();
    return;
  }
  const copier = event.target.closest<HTMLElement>("[data-copy]");
  if (copier) {
    void navigator.clipboard.writeText(copier.dataset["copy"] ?? "").then(() => announce(copier.dataset["copied"] ?? "OK"));
  }
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
}

function onEscape(event: KeyboardEvent): void {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector<HTMLElement>("summary")?.focus();
  }
}

function onTabKey(event: KeyboardEvent): void {
  if (!(event.target instanceof HTMLElement) || event.target.getAttribute("role") !== "tab") return;
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const tabs = [...(event.target.closest('[role="tablist"]')?.querySelectorAll<HTMLElement>('[role="tab"]') ?? [])];
  const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
  next?.focus();
  next?.click();
}

function onTabClick(event: MouseEvent): void {
  const tab = event.target instanceof Element ? event.target.closest<HTMLElement>('[role="tab"][aria-controls]') : null;
  if (!tab) return;
  const list = tab.closest('[role="tablist"]');
  for (const other of list?.querySelectorAll<HTMLElement>('[role="tab"]') ?? []) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    const panel = document.getElementById(other.getAttribute("aria-controls") ?? "");
    if (panel) panel.hidden = !chosen;
  }
}

// A form that changes by choosing says so with data-submit-on-change; without script it has its button.
function onChange(event: Event): void {
  if (event.target instanceof HTMLElement && event.target.closest("[data-submit-on-change]")) {
    event.target.closest("form")?.requestSubmit();
  }
}

// Guard against losing or doubling work: a second press of the same button while the first is on its way does nothing.
function onSubmit(event: SubmitEvent): void {
  const form = event.target as HTMLFormElement;
  if (form.dataset["sent"] === "true") {
    event.preventDefault();
    return;
  }
  if (form.method === "post" && !form.hasAttribute("hx-post")) {
    form.dataset["sent"] = "true";
    window.setTimeout(() => delete form.dataset["sent"], 4000);
  }
}

export function startFrame(): void {
  document.addEventListener("keydown", onKey);
  document.addEventListener("keydown", onEscape);
  document.addEventListener("keydown", onTabKey);
  document.addEventListener("click", onClick);
  document.addEventListener("click", onTabClick);
  document.addEventListener("change", onChange);
  document.addEventListener("submit", onSubmit);
}
