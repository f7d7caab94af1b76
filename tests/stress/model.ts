/**
 * Orders of events, made up until one is found in which a promise is not kept, or until Ctrl-C.
 *
 * @module
 */

import { tryOrders } from "../orders.ts";
import type { Figure } from "./measure.ts";

/** How many orders are tried between two lines. */
const RUNS = 10_000;

/** Never resolves. Rejects with the shortest order of events in which a promise is not kept, and its seed. */
export async function model(seed: number): Promise<Figure[]> {
  for (let tried = 0;; tried += RUNS) {
    await tryOrders(RUNS, seed + tried);
    console.log(`${(tried + RUNS).toLocaleString("en")} orders of events: each promise was kept`);
  }
}
