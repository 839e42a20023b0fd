import { generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { isIP } from "node:net";

import type { TransportTls } from "../../server/transport/index.js";

// Just enough DER (X.690) and X.509 (RFC 5280) for certificates that live as long as a test: no key is kept in the tree.

function der(tag: number, ...parts: (Buffer | number[])[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const { length } = content;
  const head =
    length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), content]);
}

const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
const oid = (...bytes: number[]): Buffer => der(0x06, bytes);
const TRUE = der(0x01, [0xff]);
const ECDSA_WITH_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
const COMMON_NAME = oid(0x55, 0x04, 0x03);
const SUBJECT_ALT_NAME = oid(0x55, 0x1d, 0x11);
const BASIC_CONSTRAINTS = oid(0x55, 0x1d, 0x13);
const VALIDITY = sequence(der(0x17, Buffer.from("250101000000Z")), der(0x17, Buffer.from("490101000000Z")));

const nameOf = (name: string): Buffer => sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(name)))));

function alternativeName(name: string): Buffer {
  return isIP(name) === 4 ? der(0x87, name.split(".").map(Number)) : der(0x82, Buffer.from(name));
}

/** No line may be empty, not even where the last one is full. */
const lines = (base64: string): string[] => base64.match(/.{1,64}/g) ?? [];

const pem = (bytes: Buffer): string =>
  ["-----BEGIN CERTIFICATE-----", ...lines(bytes.toString("base64")), "-----END CERTIFICATE-----", ""].join("\n");

/** A certificate authority that lives in memory. */
export class Authority {
  readonly #name: string;
  readonly #key: KeyObject;
  readonly certificate: string;
  #serial = 1;

  constructor(name: string) {
    this.#name = name;
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#key = privateKey;
    this.certificate = this.#sign(name, publicKey, sequence(BASIC_CONSTRAINTS, TRUE, der(0x04, sequence(TRUE))));
  }

  /** What a node or client of these names needs. */
  issue(...names: [string, ...string[]]): TransportTls {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const extension = sequence(SUBJECT_ALT_NAME, der(0x04, sequence(...names.map(alternativeName))));
    const key = privateKey.export({ type: "pkcs8", format: "pem" });
    return { ca: this.certificate, cert: this.#sign(names[0], publicKey, extension), key };
  }

  #sign(subject: string, publicKey: KeyObject, extension: Buffer): string {
    const body = sequence(
      der(0xa0, der(0x02, [2])),
      der(0x02, [this.#serial++]),
      ECDSA_WITH_SHA256,
      nameOf(this.#name),
      VALIDITY,
      nameOf(subject),
      publicKey.export({ type: "spki", format: "der" }),
      der(0xa3, sequence(extension)),
    );
    return pem(sequence(body, ECDSA_WITH_SHA256, der(0x03, [0], sign("sha256", body, this.#key))));
  }
}
