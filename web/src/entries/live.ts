// <malha-live>: placeholder, filled by the room that draws it.
export {};
