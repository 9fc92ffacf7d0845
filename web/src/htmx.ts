// htmx, closed down to what the content security policy allows, and polite to people who listen to pages.
import htmx from "htmx.org";
import { announce } from "./announce.ts";

declare global {
  interface Window {
    htmx: typeof htmx;
  }
}

window.htmx = htmx;
htmx.config.includeIndicatorStyles = false; // its inline style would be refused
htmx.config.allowEval = false;
htmx.config.selfRequestsOnly = true;
htmx.config.historyCacheSize = 0; // pages about people must not stay in the browser's storage
htmx.config.scrollBehavior = "auto";

function cookie(name: string): string {
  const found = document.cookie.split("; ").find((part) => part.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

document.addEventListener("htmx:configRequest", (event) => {
  const detail = (event as CustomEvent<{ headers: Record<string, string>; verb: string }>).detail;
  if (detail.verb !== "get") detail.headers["X-CSRFToken"] = cookie("malha_csrf");
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const target = (event as CustomEvent<{ target: Element }>).detail.target;
  target.setAttribute("aria-busy", "true");
});

document.addEventListener("htmx:afterRequest", (event) => {
  const target = (event as CustomEvent<{ target: Element }>).detail.target;
  target.removeAttribute("aria-busy");
});

document.addEventListener("htmx:afterSettle", (event) => {
  const target = (event as CustomEvent<{ target: Element }>).detail.target;
  if (!target.isConnected) return;
  const said = target.querySelector<HTMLElement>("[data-announce]");
  if (said?.dataset["announce"]) announce(said.dataset["announce"]);
  const heading = target.querySelector<HTMLElement>("[data-focus]");
  if (heading) {
    if (!heading.hasAttribute("tabindex")) heading.tabIndex = -1;
    heading.focus();
  }
});

document.addEventListener("htmx:sendError", () => {
  announce(document.documentElement.lang.startsWith("en") ? "No connection. Nothing was lost: try again." : "Sem ligação. Nada se perdeu: tente outra vez.");
});
