// <malha-chart>: placeholder, filled by the room that draws it.
export {};
