/**
 * The memory of a process as Linux tells it.
 *
 * @module
 */

/** Whether it can be told here. */
export const canTellMemory = Deno.build.os === "linux";

/** The memory that a process holds, and the most that it ever held, in MB. */
export async function memoryOf(
  { pid }: { readonly pid: number },
): Promise<{ readonly now: number; readonly peak: number }> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const megabytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1000;
  return { now: megabytes("VmRSS"), peak: megabytes("VmHWM") };
}
