/**
 * Answers of Stacosys that are far too long, or come in far too many pieces.
 *
 * @module
 */

import { ask } from "../system/reader.ts";
import * as stand from "../stand_in.ts";
import { type Figure, growthDuring, setStage } from "./measure.ts";

/** Of each no more is read than a count may have. */
export async function hugeAnswers(): Promise<Figure[]> {
  await using stage = await setStage();
  const { program, stacosys } = stage;
  const huge = [stand.fiftyMegabytes, stand.endlessChunks, stand.gzipBomb, stand.endlessHeaders];
  const growth = await growthDuring(program, async () => {
    await Promise.all(Array.from({ length: 50 }, (_, i) => {
      stacosys.answer(huge[i % huge.length] ?? stand.hang, `/${i}/`);
      return ask(program, `/${i}/`);
    }));
  });
  return [{ what: "50 answers of 50 MB or without end, all at once", seen: growth, unit: "MB more", atMost: 40 }];
}

/** A buffer for each piece would be 64 KiB for a byte. */
export async function bytesInChunks(): Promise<Figure[]> {
  await using stage = await setStage();
  const { program, stacosys } = stage;
  stacosys.answer(stand.byteChunks(7));
  const growth = await growthDuring(program, async () => {
    await ask(program, "/a/");
  });
  return [{ what: "an answer in 60,000 chunks of a byte", seen: growth, unit: "MB more", atMost: 40 }];
}
