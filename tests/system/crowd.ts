/**
 * Readers who come one after the other, for as long as a test wants.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Answer, brief } from "./reader.ts";
import { until } from "../until.ts";

/** Readers who all are to get a count of 7. */
export interface Crowd {
  /** Resolves when so many more have been answered; rejects if one was not. */
  answers(more: number): Promise<void>;
  /** Has nobody else come. Rejects if one was not answered. */
  leave(): Promise<void>;
}

/** Has eight readers at a time ask for one of the articles each, by `ask`. */
export function startCrowd(articles: readonly string[], ask: (article: string) => Promise<Answer>): Crowd {
  let total = 0;
  let leaving = false;
  async function come(): Promise<void> {
    while (!leaving) {
      assertEquals(brief(await ask(articles[total % articles.length] ?? "")), '200 {"count":7}');
      total++;
    }
  }
  const all = Promise.all(Array.from({ length: 8 }, come));
  return {
    answers(more) {
      const enough = total + more;
      return Promise.race([all.then(() => {}), until(() => total >= enough, "readers are answered")]);
    },
    async leave() {
      leaving = true;
      await all;
    },
  };
}
