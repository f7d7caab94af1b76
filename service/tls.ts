/**
 * The certificate of the service's own HTTPS, checked before anything listens.
 *
 * @module
 */

import { reason } from "./log.ts";

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Reports what is wrong with a key of the configuration. */
export type Report = (key: "TlsCertFile" | "TlsKeyFile", text: string) => void;

/** A certificate that ends sooner than this should have been renewed. */
const SOON_MS = 14 * 86_400_000;

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g;

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
    const chain = (pem.match(CERTIFICATES) ?? [pem]).map((one) => new X509Certificate(one));
    return chain[0] ?? new X509Certificate(pem);
  });
  const key = read("TlsKeyFile", files.key, "a private key in PEM, without a passphrase", createPrivateKey);
  if (cert === undefined || key === undefined) return undefined;

  const end = Date.parse(cert.made.validTo);
  const until = new Date(end).toISOString();
  if (!cert.made.checkPrivateKey(key.made)) {
    const expected = `the key of the first certificate in ${files.cert}`;
    return report(fault, "TlsKeyFile", expected, `that of another certificate in ${files.key}`);
  }
  if (end <= now) {
    return report(fault, "TlsCertFile", "a certificate that is valid", `${files.cert}, which expired ${until}`);
  }
  try {
    // Deno's TLS rejects short keys and some curves, so load the pair now.
    Deno.createHttpClient({ cert: cert.pem, key: key.pem }).close();
  } catch (error) {
    const got = `${files.cert} (${reason(error)})`;
    return report(fault, "TlsCertFile", "a certificate and key that TLS takes", got);
  }
  const begin = Date.parse(cert.made.validFrom);
  if (begin > now) {
    // A machine without a battery for its clock starts in 1970, and learns the time a moment later.
    const clock = `by the clock of this machine, ${new Date(now).toISOString()}, it is not valid yet`;
    warn("TlsCertFile", `${files.cert} begins ${new Date(begin).toISOString()}; ${clock}`);
  }
  if (end <= now + SOON_MS) warn("TlsCertFile", `${files.cert} expires ${until}; renew it`);
  return { cert: cert.pem, key: key.pem };

  function read<T>(
    name: Parameters<Report>[0],
    file: string,
    expected: string,
    make: (pem: string) => T,
  ): { pem: string; made: T } | undefined {
    let pem;
    try {
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

function report(to: Report, key: Parameters<Report>[0], expected: string, got: string): undefined {
  to(key, `expected ${expected}, got ${got}`);
}
