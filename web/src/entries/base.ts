// What every page loads: styles, htmx and the behaviour of the frame.
import "../../styles/base.css";
import "../bell.ts";
import "../htmx.ts";
import { startFrame } from "../frame.ts";

startFrame();
