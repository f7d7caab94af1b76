/**
 * The certificate of the service's own HTTPS, checked before anything listens.
 *
 * @module
 */

import { repeatByTimer } from "./clock.ts";
import { type Log, reason } from "./log.ts";

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly life: Life;
}

/** How long a certificate is valid, in milliseconds since 1970. */
export interface Life {
  readonly beginsAt: number;
  readonly endsAt: number;
}

/** Reports what is wrong with a key of the configuration. */
export type Report = (key: "TlsCertFile" | "TlsKeyFile", text: string) => void;

const DAY_MS = 86_400_000;

const KEY = /-----BEGIN ([A-Z]+ )*PRIVATE KEY-----[^]*?-----END ([A-Z]+ )*PRIVATE KEY-----/;

/**
 * Reads a certificate, or a chain that begins with it, and its key.
 *
 * @param fault is told what makes the pair useless.
 * @param warn is told what the owner should look at.
 * @returns none if there is any fault.
 */
export async function readCertificate(
  files: { readonly cert: string; readonly key: string },
  fault: Report,
  warn: Report,
  now: number = Date.now(),
): Promise<Certificate | undefined> {
  // It takes 35 ms to load, which only those who use HTTPS should wait for.
  const { createPrivateKey, X509Certificate } = await import("node:crypto");
  const cert = read("TlsCertFile", files.cert, "a certificate in PEM", (pem) => {
    const chain = certificatesIn(pem).map((one) => new X509Certificate(one));
    return chain[0] ?? new X509Certificate(pem);
  });
  const key = read("TlsKeyFile", files.key, "a private key in PEM, without a passphrase", (pem) => {
    // The certificate may be in the same file.
    return createPrivateKey(KEY.exec(pem)?.[0] ?? pem);
  });
  if (cert === undefined || key === undefined) return undefined;

  const life = { beginsAt: Date.parse(cert.made.validFrom), endsAt: Date.parse(cert.made.validTo) };
  const { beginsAt, endsAt } = life;
  if (!cert.made.checkPrivateKey(key.made)) {
    const expected = `the key of the first certificate in ${files.cert}`;
    return report(fault, "TlsKeyFile", expected, `that of another certificate in ${files.key}`);
  }
  const state = stateOf(life, now);
  if (state === "ended") {
    const got = `${files.cert}, which expired ${isoTime(endsAt)}`;
    return report(fault, "TlsCertFile", "a certificate that is valid", got);
  }
  try {
    // Deno's TLS rejects short keys and some curves, so load the pair now.
    Deno.createHttpClient({ cert: cert.pem, key: key.pem }).close();
  } catch (error) {
    const got = `${files.cert} (${reason(error)})`;
    return report(fault, "TlsCertFile", "a certificate and key that TLS takes", got);
  }
  if (beginsAt > now) {
    // A machine without a battery for its clock starts in 1970, and learns the time a moment later.
    const clock = `by the clock of this machine, ${isoTime(now)}, it is not valid yet`;
    warn("TlsCertFile", `${files.cert} begins ${isoTime(beginsAt)}; ${clock}`);
  }
  if (state === "due") warn("TlsCertFile", `${files.cert} expires ${isoTime(endsAt)}; renew it`);
  return { cert: cert.pem, key: key.pem, life };

  function read<T>(
    name: Parameters<Report>[0],
    file: string,
    expected: string,
    make: (pem: string) => T,
  ): { pem: string; made: T } | undefined {
    let pem;
    try {
      // Nobody may ever write to a pipe.
      if (!Deno.statSync(file).isFile) throw new Error(`${file}, which is no file`);
      pem = Deno.readTextFileSync(file);
    } catch (error) {
      return report(fault, name, expected, reason(error));
    }
    try {
      return { pem, made: make(pem) };
    } catch {
      return report(fault, name, expected, `something else in ${file}`);
    }
  }
}

/** Each certificate of a text in PEM, with nothing around it. */
export function certificatesIn(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
}

/** `due` is the last third of its life: whoever renews by himself has done so by then. */
export function stateOf({ beginsAt, endsAt }: Life, now: number): "good" | "due" | "ended" {
  if (now >= endsAt) return "ended";
  return now >= endsAt - (endsAt - beginsAt) / 3 ? "due" : "good";
}

/** Tells `log` once a day of a certificate that is due or has ended: of the one that was read at the start. */
export function watchCertificate(
  { life }: Pick<Certificate, "life">,
  log: Log,
  now: () => number = Date.now,
  repeat: (look: () => void, everyMs: number) => void = repeatByTimer,
): void {
  const end = isoTime(life.endsAt);
  const advice = "renew it, or restart if that is done";
  repeat(() => {
    const state = stateOf(life, now());
    if (state === "due") log("warning", `the certificate in use expires ${end}; ${advice}`, "always");
    if (state === "ended") {
      log("error", `the certificate in use expired ${end}, and browsers refuse it; ${advice}`, "always");
    }
  }, DAY_MS);
}

function isoTime(time: number): string {
  return new Date(time).toISOString();
}

function report(to: Report, key: Parameters<Report>[0], expected: string, got: string): undefined {
  to(key, `expected ${expected}, got ${got}`);
}
