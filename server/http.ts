import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { notHealthy, notReady } from "./status.js";
import type { NodeStatus } from "./status.js";
import { ListenError } from "./transport/index.js";

export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  readonly status: () => NodeStatus;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
}

export interface HttpServer {
  readonly address: { readonly host: string; readonly port: number };
  close(): Promise<void>;
}

/**
 * Health, status and metrics, for probes and people; it reads, and changes nothing.
 *
 *   /healthz   200 while every group works, 503 with the reasons after one has stopped: restart or repair the node
 *   /readyz    200 while the node can serve, 503 with the reasons where it cannot now: send clients elsewhere
 *   /status    JSON
 *   /metrics   for Prometheus
 *
 * @throws ListenError
 */
export async function serveHttp(options: HttpOptions): Promise<HttpServer> {
  const { host, port } = options;
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else send(response, 500, "text/plain", `${String(error)}\n`);
    });
  });
  // A probe that never finishes its request must not stay for ever.
  server.requestTimeout = 10_000;
  server.headersTimeout = 5000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(new ListenError(host, port, cause)));
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: { host: bound.address, port: bound.port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return send(response, 405, "text/plain", "only GET and HEAD\n");
  }
  const [path] = (request.url ?? "/").split("?");
  switch (path) {
    case "/healthz":
      return sendReasons(response, notHealthy(options.status()));
    case "/readyz":
      return sendReasons(response, notReady(options.status()));
    case "/status":
      return send(response, 200, "application/json", `${JSON.stringify(options.status(), null, 2)}\n`);
    case "/metrics":
      return send(response, 200, options.metrics.contentType, await options.metrics.text());
    default:
      return send(response, 404, "text/plain", "there are /healthz, /readyz, /status and /metrics\n");
  }
}

function sendReasons(response: ServerResponse, reasons: readonly string[]): void {
  send(response, reasons.length === 0 ? 200 : 503, "text/plain", `${reasons.join("\n") || "ok"}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
  response.end(body);
}
