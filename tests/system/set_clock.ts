/**
 * Loaded before the program: at each SIGUSR2 its clock is set back by a second and a half.
 *
 * @module
 */

const { now } = Date;
let backMs = 0;
Date.now = () => now() - backMs;
Deno.addSignalListener("SIGUSR2", () => backMs += 1_500);
