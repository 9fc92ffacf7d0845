// A specification that the page brought along, so that nothing has to be asked for it: <malha-map spec="id-of-its-script">.
export function inline<T>(element: HTMLElement): T | undefined {
  const text = document.getElementById(element.getAttribute("spec") ?? "")?.textContent;
  return text ? (JSON.parse(text) as T) : undefined;
}
