// Passkeys: asks the browser to make or show one, and posts its answer (Web Authentication Level 3).
import { startPasskeys } from "../passkey.ts";

startPasskeys();
