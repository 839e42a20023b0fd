import type { ConnectionOptions, TlsOptions } from "node:tls";

import { InvalidArgumentError } from "../../runtime/index.js";
import { UnsafeBindError } from "./errors.js";
import type { Secret } from "./handshake.js";

type Pem = string | Buffer | (string | Buffer)[];

/**
 * Mutual TLS: each side shows a certificate, and believes those that `ca` has signed, no others. A peer's certificate
 * must name its node id, and a server's the node id that the caller expects, or else the host that it calls (as a DNS or
 * IP subject alternative name, or as common name where there is none).
 */
export interface TransportTls {
  readonly ca: Pem;
  readonly cert: Pem;
  readonly key: Pem;
}

const MIN_SECRET_BYTES = 16;
const MAX_NAME_LENGTH = 256;

/** Whatever else is in the object is left behind: no option may switch the checks off. */
export function serverTls(tls: TransportTls, handshakeMs: number): TlsOptions {
  const { ca, cert, key } = tls;
  return {
    ca,
    cert,
    key,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    handshakeTimeout: handshakeMs,
  };
}

export function clientTls(tls: TransportTls, expectNodeId: string): ConnectionOptions {
  const { ca, cert, key } = tls;
  const options: ConnectionOptions = { ca, cert, key, rejectUnauthorized: true, minVersion: "TLSv1.2" };
  if (expectNodeId !== "") options.servername = expectNodeId;
  return options;
}

/** @throws InvalidArgumentError where a part is missing: the world's certificate authorities must not be believed instead. */
export function checkTls(tls: TransportTls | undefined): void {
  if (tls === undefined) return;
  for (const part of ["ca", "cert", "key"] as const) {
    if (tls[part] === undefined || tls[part].length === 0) {
      throw new InvalidArgumentError(`tls needs ${part} in PEM form; both sides show a certificate that ca has signed`);
    }
  }
}

export function checkSecret(secret: Secret | undefined): void {
  if (secret === undefined) return;
  const parts = typeof secret === "string" || secret instanceof Uint8Array ? [secret] : [secret.peer, secret.client];
  for (const part of parts) {
    if ((typeof part === "string" || part instanceof Uint8Array) && Buffer.byteLength(part) >= MIN_SECRET_BYTES)
      continue;
    throw new InvalidArgumentError(
      `a secret must have at least ${MIN_SECRET_BYTES} bytes, or it can be guessed; make one with: openssl rand -hex 32`,
    );
  }
}

export function checkName(what: string, name: unknown): asserts name is string {
  if (typeof name === "string" && name !== "" && name.length <= MAX_NAME_LENGTH && !name.includes("/")) return;
  throw new InvalidArgumentError(
    `${what} must be a string of 1 to ${MAX_NAME_LENGTH} characters without "/", not ${JSON.stringify(name)}`,
  );
}

export function checkPort(port: number, lowest: 0 | 1): void {
  if (Number.isInteger(port) && port >= lowest && port <= 65_535) return;
  throw new InvalidArgumentError(`port must be a whole number from ${lowest} to 65535, not ${String(port)}`);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** @throws UnsafeBindError */
export function checkBind(host: string, isAuthenticated: boolean, allowUnauthenticated: boolean): void {
  if (!isLoopback(host) && !isAuthenticated && !allowUnauthenticated) throw new UnsafeBindError(host);
}
