// Who sends: sources, the latest seen first.
import { get, type Profile, type SourceList } from "../api";
import { fill, h } from "../dom";
import { count, moment, short } from "../format";
import { empty, failure, isAbort, sourceLink, table, type Frame, type Page } from "../page";

const ROWS = 100;

export const sourcesPage: Page = {
  title: "Sources",
  show(root, frame) {
    const network = h("input", { name: "network", placeholder: "192.0.2.7 or 192.0.2.0/24", value: frame.place.query.get("network") ?? "", spellcheck: "false" });
    const body = h("div", {});
    const form = h(
      "form",
      {
        class: "filters",
        "aria-label": "Filters",
        onsubmit: (event) => {
          event.preventDefault();
          frame.remember(new URLSearchParams(network.value === "" ? {} : { network: network.value.trim() }));
          void show(body, network.value.trim(), frame);
        },
      },
      h("label", {}, "Address or prefix", network),
      h("button", { type: "submit" }, "Show"),
    );
    fill(root, h("h1", {}, "Sources"), form, body);
    void show(body, network.value.trim(), frame);
  },
};

async function show(body: HTMLElement, network: string, frame: Frame): Promise<void> {
  const known: Profile[] = [];
  const next = async (cursor: string | null): Promise<void> => {
    try {
      const page = await get<SourceList>("/api/sources", { network, limit: ROWS, cursor }, frame.signal);
      known.push(...page.sources);
      const more = page.next === null ? null : h("button", { type: "button", onclick: () => void next(page.next) }, "More");
      fill(body, known.length === 0 ? empty("No source is known here.") : rows(known), more);
    } catch (error) {
      if (!isAbort(error)) fill(body, failure(error));
    }
  };
  await next(null);
}

function rows(profiles: Profile[]): HTMLElement {
  return table(
    ["Source", "Last seen", "First seen", "Packets", "Bytes", "Sessions", "WARNING", "HIGH", "CRITICAL"],
    profiles.map((profile) => [
      h("span", {}, sourceLink(profile.ip), profile.tenant === null ? "" : ` in VLAN ${profile.tenant}`),
      moment(profile.last_seen),
      moment(profile.first_seen),
      short(profile.packets),
      `${short(profile.bytes)}B`,
      count(profile.sessions),
      count(profile.verdicts.WARNING),
      count(profile.verdicts.HIGH),
      count(profile.verdicts.CRITICAL),
    ]),
    { "aria-label": "Sources" },
  );
}
