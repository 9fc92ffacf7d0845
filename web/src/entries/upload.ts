// A large file in pieces: <malha-upload begin="…" piece="bytes"> around a form with a file.
import { startUploads } from "../upload.ts";

startUploads();
