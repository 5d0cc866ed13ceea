export { widget as default } from "../host/notebook.ts";
