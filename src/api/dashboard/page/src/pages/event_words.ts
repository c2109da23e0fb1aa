// Events in words: what several pages say in the same way.
import type { SensorEvent } from "../api";
import type { Child } from "../dom";
import { h } from "../dom";
import { endpoint } from "../format";
import { sourceLink } from "../page";

/** Sender and receiver; the sender leads to its page. */
export function way(event: SensorEvent): Child {
  if (event.is_of_victim) {
    return h("span", { class: "way" }, `${event.sources ?? "many"} sources → `, endpoint(event.dst_ip, event.dst_port));
  }
  const port = event.src_port === null ? "" : `:${event.src_port}`;
  return h("span", { class: "way" }, sourceLink(event.src_ip), port, " → ", endpoint(event.dst_ip, event.dst_port), ` ${event.protocol_name}`);
}

/** What floors are called in the policy, said in a sentence. */
export const FLOORS: Record<string, string> = {
  intel_hit_high: "an address that intelligence knows is at least HIGH",
  rule_80_high: "a rule of risk 80 or more is at least HIGH",
  model_quantile_warning: "a score as rare as one in ten thousand is at least WARNING",
  intel_and_rule_critical: "a known address and a rule of risk 60 or more are CRITICAL",
  decoy_high: "touching a decoy is at least HIGH",
};
