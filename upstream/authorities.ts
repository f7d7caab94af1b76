/**
 * Who may have signed the certificate of a Stacosys over HTTPS: the authorities that Mozilla knows, which the runtime
 * brings, and those that this system knows, where an owner's own is.
 *
 * @module
 */

import { reason } from "../service/log.ts";
import { certificatesIn } from "../service/tls.ts";

/** The authorities of the system. */
export interface Authorities {
  /** In PEM, for `Deno.createHttpClient`. */
  readonly caCerts: string[];
  /** Why some or all of them are missing. */
  readonly fault?: string;
}

/** Where systems keep them, in the order in which Go looks. */
const FILES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * Reads the authorities of the system, or of the file that `SSL_CERT_FILE` names, as with Go. Call it before any TLS.
 *
 * @param url that of Stacosys; over http it needs none.
 */
export function readAuthorities(url: string): Authorities {
  // Told to read them itself, the runtime ends where they are missing or broken, even if nothing is asked over HTTPS.
  Deno.env.set("DENO_TLS_CA_STORE", "mozilla");
  if (!url.startsWith("https:")) return { caCerts: [] };
  const named = Deno.env.get("SSL_CERT_FILE");
  for (const file of named ? [named] : FILES) {
    try {
      return authoritiesIn(file, Deno.readTextFileSync(file));
    } catch (error) {
      if (named || !(error instanceof Deno.errors.NotFound)) return { caCerts: [], fault: reason(error) };
    }
  }
  return { caCerts: [], fault: `no such file: ${FILES[0]}` };
}

function authoritiesIn(file: string, text: string): Authorities {
  const all = certificatesIn(text);
  if (all.length === 0) return { caCerts: [], fault: `${file}: expected certificates in PEM, got none` };
  if (isUsable(all)) return { caCerts: all };
  const caCerts = all.filter((one) => isUsable([one]));
  return { caCerts, fault: `${file}: ${all.length - caCerts.length} of ${all.length} certificates are broken` };
}

/** One that is broken would make all useless. */
function isUsable(caCerts: string[]): boolean {
  try {
    Deno.createHttpClient({ caCerts }).close();
    return true;
  } catch {
    return false;
  }
}
