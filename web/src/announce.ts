// The one live region of the page: short sentences for people who listen to it.
export function announce(text: string): void {
  const region = document.getElementById("anuncios");
  if (!region) return;
  region.textContent = "";
  window.setTimeout(() => {
    region.textContent = text;
  }, 50);
}
