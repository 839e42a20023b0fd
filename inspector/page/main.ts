import { App, load, showHeader } from "./app.js";
import { appCommands, listenToKeys, listenToMatrix, listenToOverview, listenToTimeline } from "./controls.js";
import { Comparison } from "./compare.js";
import { byId } from "./dom.js";
import { Search } from "./search.js";

/** Time without a move after which the address says where the cursor is: browsers limit how often it may change. */
const ADDRESS_MS = 250;

function begin(): void {
  const original = load(JSON.parse(byId("record").textContent ?? "null"));
  const app = new App(original);
  const search = new Search(app);
  const comparison = new Comparison(app);
  const help = byId("help") as HTMLDialogElement;
  showHeader(original);
  listenToTimeline(app);
  listenToOverview(app);
  listenToMatrix(app);
  listenToKeys({
    ...appCommands(app),
    search: () => search.focus(),
    "next-hit": () => search.go(1),
    "previous-hit": () => search.go(-1),
    fork: () => comparison.open(),
    toggle: () => comparison.toggle(),
    help: () => (help.open ? help.close() : help.showModal()),
    escape: () => {
      if (search.isActive) search.blur();
      else app.pick(null);
    },
  });
  followAddress(app);
}

/** `#seq=123` is the moment of that event, kept up to date and honoured when the page opens or the address changes. */
function followAddress(app: App): void {
  let timer = 0;
  let written = "";
  app.onMove = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      written = `#seq=${app.run.seq[app.cursor] ?? 0}`;
      history.replaceState(null, "", written);
    }, ADDRESS_MS);
  };
  const read = (): void => {
    const seq = /^#seq=(\d+)$/.exec(location.hash)?.[1];
    if (seq !== undefined && location.hash !== written) app.go(app.run.eventOfSeq(Number(seq)));
  };
  window.addEventListener("hashchange", read);
  if (location.hash === "") {
    // A failed run opens where it failed, another where there is first something to see.
    app.go(app.run.marks.violation[0] ?? app.run.marks.commit[0] ?? 0);
  } else {
    read();
  }
}

begin();
