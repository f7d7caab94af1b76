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
  // Deno itself may read this file only with all permissions.
  const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/status`] }).output();
  const status = new TextDecoder().decode(stdout);
  const megabytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1000;
  return { now: megabytes("VmRSS"), peak: megabytes("VmHWM") };
}
