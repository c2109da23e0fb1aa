// Server-sent events, read by `fetch` and not by `EventSource`, which can't show a token.
import { createParser } from "eventsource-parser";
import { Refusal, address, send, type ByVerdict, type SensorEvent } from "./api";

/** Data of `stats`, each second. */
export interface StreamStats {
  packetsPerSecond: number;
  packets: number;
  distribution: ByVerdict;
  totalEvents: number;
  unaccounted: number;
}

/** Data of `notice`. */
export interface Notice {
  time: string;
  kind: string;
  text: string;
}

export interface Listener {
  verdict?(event: SensorEvent): void;
  stats?(stats: StreamStats): void;
  notice?(notice: Notice): void;
  /** Events that this page will not get here. */
  gap?(): void;
  connected?(): void;
  /** Why there is no stream at the moment; it is tried again. */
  broken?(reason: string): void;
}

const WAIT_LEAST = 500;
const WAIT_MOST = 8_000;
/** The sensor sends something each second; so long without a byte is a connection that is gone. */
const SILENCE_MOST = 12_000;

/** Follows the sensor until it is closed; goes on behind the last event seen wherever a connection broke off. */
export class Stream {
  private readonly ended = new AbortController();

  /** What came after the event `last`, where it is named; else what comes from now on. */
  constructor(
    private readonly filter: Record<string, string>,
    private readonly listener: Listener,
    private last: string | null = null,
  ) {
    void this.follow();
  }

  /** The last event seen: what a stream that comes after this one goes on from. */
  get position(): string | null {
    return this.last;
  }

  close(): void {
    this.ended.abort();
  }

  private async follow(): Promise<void> {
    let wait = WAIT_LEAST;
    while (!this.ended.signal.aborted) {
      try {
        await this.read(() => (wait = WAIT_LEAST));
        this.listener.broken?.("the sensor has ended the stream");
      } catch (error) {
        if (this.ended.signal.aborted) return;
        // An event of a store that was emptied: there is nothing to go on from.
        if (error instanceof Refusal && error.status === 422) this.last = null;
        this.listener.broken?.(error instanceof Error ? error.message : String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, WAIT_MOST);
    }
  }

  /** One connection, to its end. */
  private async read(alive: () => void): Promise<void> {
    const connection = new AbortController();
    const hangUp = () => connection.abort();
    this.ended.signal.addEventListener("abort", hangUp);
    let silence = setTimeout(hangUp, SILENCE_MOST);
    try {
      const headers: HeadersInit = this.last === null ? {} : { "Last-Event-ID": this.last };
      const response = await send(address("/api/stream", this.filter), { headers, signal: connection.signal });
      this.listener.connected?.();
      const parser = createParser({ onEvent: ({ event, data, id }) => this.take(event, data, id) });
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(hangUp, SILENCE_MOST);
        alive();
        parser.feed(value);
      }
    } finally {
      clearTimeout(silence);
      connection.abort();
      this.ended.signal.removeEventListener("abort", hangUp);
    }
  }

  private take(event: string | undefined, data: string, id: string | undefined): void {
    if (id) this.last = id;
    if (event === "verdict") this.listener.verdict?.(JSON.parse(data) as SensorEvent);
    else if (event === "stats") this.listener.stats?.(JSON.parse(data) as StreamStats);
    else if (event === "notice") this.listener.notice?.(JSON.parse(data) as Notice);
    else if (event === "gap") this.listener.gap?.();
  }
}
