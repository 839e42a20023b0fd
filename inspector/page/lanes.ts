import { clientActor } from "../../sim/index.js";
import type { Run } from "./run.js";

export const GUTTER = 64;
export const AXIS_HEIGHT = 22;
export const FAULT_ROW = 15;

/** Where each lane lies on the timeline. */
export class Lanes {
  readonly top: number;
  readonly height: number;
  readonly clientHeight: number;
  readonly serverHeight: number;
  readonly faultRows: number;
  readonly #run: Run;
  readonly #serverTop: number;

  constructor(run: Run, height: number, faultRows: number) {
    const { clients, servers } = run.record;
    this.#run = run;
    this.faultRows = faultRows;
    this.top = AXIS_HEIGHT + faultRows * FAULT_ROW + 4;
    this.height = height;
    const room = Math.max(40, height - this.top - 4);
    this.clientHeight = clients === 0 ? 0 : Math.max(3, Math.min(18, (room * 0.34) / clients));
    this.#serverTop = this.top + this.clientHeight * clients + (clients === 0 ? 0 : 8);
    this.serverHeight = Math.max(8, (height - 4 - this.#serverTop) / Math.max(1, servers));
  }

  /** The middle of the lane of a server or client. */
  y(actor: number): number {
    if (actor >= 0) return this.#serverTop + (actor + 0.5) * this.serverHeight;
    return this.top + (-1 - actor + 0.5) * this.clientHeight;
  }

  get serverTop(): number {
    return this.#serverTop;
  }

  /** The server whose lane holds `y`. */
  serverAt(y: number): number | null {
    const server = Math.floor((y - this.#serverTop) / this.serverHeight);
    return server >= 0 && server < this.#run.record.servers ? server : null;
  }

  /** The actor of the client whose lane holds `y`. */
  clientAt(y: number): number | null {
    if (y < this.top || y >= this.top + this.clientHeight * this.#run.record.clients) return null;
    return clientActor(Math.floor((y - this.top) / this.clientHeight));
  }
}
