// What every page loads: styles, htmx and the behaviour of the frame.
import "../../styles/base.css";
import "../htmx.ts";
import { startFrame } from "../frame.ts";

startFrame();
