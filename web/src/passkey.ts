// The ceremony of a passkey in a form: <form data-passkey="create|get" data-options="id of a JSON script" | data-options-url="…">.

type Json = Record<string, unknown>;

function fromBase64Url(text: string): ArrayBuffer {
  const base64 = text.replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return bytes.buffer;
}

function toBase64Url(buffer: ArrayBuffer): string {
  const text = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function descriptors(list: unknown): PublicKeyCredentialDescriptor[] {
  return ((list as Json[] | undefined) ?? []).map((one) => ({ ...one, id: fromBase64Url(one["id"] as string) }) as unknown as PublicKeyCredentialDescriptor);
}

function creationOptions(json: Json): PublicKeyCredentialCreationOptions {
  const user = json["user"] as Json;
  return {
    ...json,
    challenge: fromBase64Url(json["challenge"] as string),
    user: { ...user, id: fromBase64Url(user["id"] as string) },
    excludeCredentials: descriptors(json["excludeCredentials"]),
    // A passkey signs in by itself: it is found without a name and checks who holds it.
    authenticatorSelection: { ...(json["authenticatorSelection"] as Json), residentKey: "required", requireResidentKey: true, userVerification: "required" },
  } as unknown as PublicKeyCredentialCreationOptions;
}

function requestOptions(json: Json): PublicKeyCredentialRequestOptions {
  return { ...json, challenge: fromBase64Url(json["challenge"] as string), allowCredentials: descriptors(json["allowCredentials"]) } as unknown as PublicKeyCredentialRequestOptions;
}

function answer(credential: PublicKeyCredential): Json {
  const response = credential.response;
  const parts: Json = { clientDataJSON: toBase64Url(response.clientDataJSON) };
  if (response instanceof AuthenticatorAttestationResponse) {
    parts["attestationObject"] = toBase64Url(response.attestationObject);
    parts["transports"] = response.getTransports();
  } else if (response instanceof AuthenticatorAssertionResponse) {
    parts["authenticatorData"] = toBase64Url(response.authenticatorData);
    parts["signature"] = toBase64Url(response.signature);
    parts["userHandle"] = response.userHandle ? toBase64Url(response.userHandle) : null;
  }
  return {
    id: credential.id,
    rawId: toBase64Url(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: credential.getClientExtensionResults() as Json,
    response: parts,
  };
}

async function options(form: HTMLFormElement): Promise<Json> {
  const url = form.dataset["optionsUrl"];
  const told = url
    ? ((await (await fetch(url, { headers: { "X-Requested-With": "XMLHttpRequest", Accept: "application/json" } })).json()) as Json)
    : (JSON.parse(document.getElementById(form.dataset["options"] ?? "")?.textContent ?? "{}") as Json);
  const outer = (told["creation_options"] ?? told["request_options"]) as Json;
  return outer["publicKey"] as Json;
}

async function perform(form: HTMLFormElement): Promise<void> {
  const json = await options(form);
  const credential =
    form.dataset["passkey"] === "create"
      ? await navigator.credentials.create({ publicKey: creationOptions(json) })
      : await navigator.credentials.get({ publicKey: requestOptions(json) });
  if (!(credential instanceof PublicKeyCredential)) throw new Error("no credential");
  const field = form.elements.namedItem("credential");
  if (field instanceof HTMLInputElement) field.value = JSON.stringify(answer(credential));
  form.submit();
}

function explain(form: HTMLFormElement, reason: unknown): void {
  const name = reason instanceof DOMException ? reason.name : "";
  const said = name === "NotAllowedError" || name === "AbortError" ? "cancelled" : name === "InvalidStateError" ? "known" : "failed";
  const place = form.querySelector<HTMLElement>("[data-passkey-error]");
  if (place) {
    place.textContent = form.dataset[said] ?? "";
    place.hidden = false;
  }
}

export function startPasskeys(): void {
  const supported = typeof PublicKeyCredential !== "undefined";
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-passkey]")) {
    const button = form.querySelector<HTMLButtonElement>("[data-passkey-start]");
    const missing = form.querySelector<HTMLElement>("[data-passkey-missing]");
    if (!button || !supported) continue;
    button.hidden = false;
    if (missing) missing.hidden = true;
    form.addEventListener("submit", (event) => event.preventDefault());
    button.addEventListener("click", () => {
      button.disabled = true;
      void perform(form)
        .catch((reason: unknown) => explain(form, reason))
        .finally(() => (button.disabled = false));
    });
  }
}
