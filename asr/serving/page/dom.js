// Nodes of the page. Whatever a file or the server says is set as text, never as HTML.

export const $ = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// Gives files to `take` that are chosen, or dropped anywhere on the page while `place` is to be seen. A browser left to itself
// would leave the page for a file that is dropped beside the place for it.
export function takeFiles(place, input, take) {
  const over = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return false;
    event.preventDefault();
    const seen = place.offsetParent !== null;
    const inside = event.type === "dragover" || (event.type === "dragleave" && event.relatedTarget !== null);
    place.classList.toggle("over", seen && inside);
    return seen;
  };
  for (const type of ["dragover", "dragleave"]) addEventListener(type, over);
  addEventListener("drop", (event) => { if (over(event)) take([...event.dataTransfer.files]); });
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = ""; // the same file may be chosen again
  });
}

// Saves a file of the page's own making.
export function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export const withoutSuffix = (name) => name.replace(/\.[^.]{1,10}$/, "");
